/** Echo as a protocol: plain callbacks, never awaited; on lent bytes with BORROW. */
import { serve } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

const server = await serve(
  {
    borrow: process.env.BORROW !== undefined,
    data(conn, chunk) {
      void conn.write(chunk);
    },
  },
  { port, host: '127.0.0.1', transport: transportName() },
);
announce(portOf(server.addresses[0]));

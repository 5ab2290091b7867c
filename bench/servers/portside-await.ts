/** Echo as a function: the handler pulls chunks and waits for its writes. */
import { serve } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

const server = await serve(
  async (conn) => {
    for await (const chunk of conn) await conn.write(chunk);
  },
  { port, host: '127.0.0.1', transport: transportName() },
);
announce(portOf(server.addresses[0]));

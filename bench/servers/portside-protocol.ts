/** Echo as a protocol: plain callbacks, never awaited; on lent bytes with BORROW, and in a process that is set up as the command does it with AS_COMMAND. */
import { reuseMemory } from '../../src/cli/memory.ts';
import { serve } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

if (process.env.AS_COMMAND !== undefined) reuseMemory(transportName());

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

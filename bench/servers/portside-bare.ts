/** Echo on bare connections: listen, accept, `for await`, without a server. */
import { listen } from '../../src/index.ts';
import type { Connection } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

async function echo(conn: Connection): Promise<void> {
  try {
    for await (const chunk of conn) await conn.write(chunk);
    await conn.close();
  } catch {
    // The peer's doing: the connection is over.
  }
}

const listener = await listen({ port, host: '127.0.0.1', transport: transportName() });
announce(portOf(listener.address));
for await (const conn of listener) void echo(conn);

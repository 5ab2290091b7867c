import { receiveConnections } from '../../../src/parallel/receive-connections.ts';
import type { Connection } from '../../../src/net/connection.ts';

/** The first is not 0 when a worker was there before, the second when it may go on. */
export interface Turns {
  readonly turns: Int32Array<SharedArrayBuffer>;
}

async function serve(conn: Connection): Promise<void> {
  await conn.write('yours\n');
  // Who does not read does not notice the end.
  await conn.readLine();
  await conn.close();
}

const { listener, data } = await receiveConnections<Turns>();
// The first worker takes one, and when it says anything hears and sees nothing more until it closes; those after it take all.
if (Atomics.exchange(data.turns, 0, 1) === 0) {
  const conn = await listener.accept();
  await conn.readLine();
  await conn.write('deaf\n');
  await conn.flushed();
  Atomics.wait(data.turns, 1, 0);
  await listener.close();
  await conn.readLine();
} else for await (const conn of listener) void serve(conn).catch(() => {});

import { isMainThread } from 'node:worker_threads';
import type { Connection } from '../../../src/net/connection.ts';
import { receiveConnections } from '../../../src/parallel/receive-connections.ts';
import { select } from '../../../src/sync/synchronize.ts';

/** How a worker takes its connections, by its index; the first way is for those that have none of their own. `nobody`: not at all. */
export interface BareData {
  readonly how: readonly ('iterate' | 'accept' | 'evt' | 'nobody')[];
  /** Counts the workers that have heard of their end. */
  readonly stopped?: Int32Array | undefined;
}

const received = await receiveConnections<BareData | undefined>();
const { index, count, listener, stopping, data } = received;
const { how = ['iterate'], stopped } = data ?? {};
stopping.addEventListener('abort', () => {
  if (stopped !== undefined) Atomics.add(stopped, 0, 1);
});

async function answer(conn: Connection, question: string): Promise<string> {
  switch (question) {
    case 'fields': {
      const { host, port } = received;
      return JSON.stringify({ host, port, data, stopping: stopping.aborted, isMainThread, address: listener.address });
    }
    case 'again':
      return receiveConnections().then(
        () => 'received',
        (error: unknown) => String((error as { code?: unknown }).code),
      );
    case 'close':
      await listener.close();
      return 'closed';
    case 'draining':
      await conn.write('waiting\n');
      await new Promise((resolve) => conn.draining.addEventListener('abort', resolve));
      return `draining ${stopping.aborted}`;
    case 'exit':
      process.exit(3);
      return '';
    default:
      return question;
  }
}

async function serve(conn: Connection): Promise<void> {
  try {
    await conn.write(`${index}/${count}\n`);
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine())
      await conn.write(`${await answer(conn, line)}\n`);
    await conn.write('over\n');
    await conn.close();
  } catch {
    // The connection's reason tells it.
  }
}

switch (how[index] ?? how[0]) {
  case 'iterate':
    for await (const conn of listener) void serve(conn);
    break;
  case 'accept':
    while (!stopping.aborted) void serve(await listener.accept());
    break;
  case 'evt':
    while (!stopping.aborted) void serve(await select(listener.acceptEvt()));
    break;
  default:
}

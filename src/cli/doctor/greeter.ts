// What a worker does in `portside doctor`: it says to each connection which thread it is.
import { threadId } from 'node:worker_threads';
import { receiveConnections } from '../../parallel/receive-connections.ts';

const { listener } = await receiveConnections();
for await (const conn of listener) {
  await conn.write(`${threadId}\n`);
  await conn.close();
}

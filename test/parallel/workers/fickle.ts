import { workerData } from 'node:worker_threads';
import type { Connection } from '../../../src/net/connection.ts';

const { generation } = workerData as { generation: Int32Array };
if (Atomics.load(generation, 0) !== 0) throw new Error('not this time');

export default async function fickle(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) await conn.write(`${line}\n`);
}

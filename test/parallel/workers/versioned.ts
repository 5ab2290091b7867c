import { workerData } from 'node:worker_threads';
import { channel } from '../../../src/parallel/channel.ts';
import type { Connection } from '../../../src/net/connection.ts';

const { generation } = workerData as { generation: Int32Array };
/** Which start of the module this is: every worker that begins after `generation` was raised is of the next one. */
const born = Atomics.load(generation, 0);
const room = channel<string>('room');
const heard: string[] = [];
room.receive((text, from) => heard.push(`${from.parent ? 'parent' : 'worker'}: ${text}`));

/** Answers each line with the generation that it was answered by. */
export default async function versioned(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    const [command, ...rest] = line.split(' ');
    if (command === 'tell') room.broadcast(rest.join(' '));
    if (command === 'heard') await conn.write(`${heard.splice(0).join(', ')}\n`);
    else await conn.write(`${born} ${line}\n`);
  }
}

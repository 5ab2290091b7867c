import { threadId } from 'node:worker_threads';
import type { Connection } from '../../../src/net/connection.ts';

/** Says which thread serves, and does what the lines ask for. */
export default async function handler(conn: Connection): Promise<void> {
  await conn.write(`thread ${threadId}\n`);
  for (;;) {
    const line = await conn.readLine();
    if (line === null) return;
    switch (line) {
      case 'throw':
        setImmediate(() => {
          throw new Error('asked to throw');
        });
        break;
      case 'exit':
        process.exit(3);
        break;
      case 'hang':
        for (;;);
      case 'fail':
        throw new Error('asked to fail');
      case 'memory': {
        const held: number[][] = [];
        for (;;) held.push(Array.from({ length: 100_000 }, (_, i) => i));
      }
      default:
        await conn.write(`${line}\n`);
    }
  }
}

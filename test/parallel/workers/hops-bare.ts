import type { Connection } from '../../../src/net/connection.ts';
import { receiveConnections } from '../../../src/parallel/receive-connections.ts';

const { index, listener } = await receiveConnections();

async function serve(conn: Connection): Promise<void> {
  try {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      const [command, to] = line.split(' ');
      if (command === 'close') await listener.close();
      else if (command === 'exit') process.exit(3);
      else if (command === 'go') {
        const before = (conn.handedOver?.value as number[] | undefined) ?? [];
        await conn.handOver(Number(to), [...before, index]);
        return;
      } else await conn.write(`${JSON.stringify({ index, line, ...conn.handedOver })}\n`);
    }
    await conn.close();
  } catch {
    // The connection's reason tells it.
  }
}

for await (const conn of listener) void serve(conn);

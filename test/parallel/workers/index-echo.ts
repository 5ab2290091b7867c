import { receiveConnections } from '../../../src/parallel/receive-connections.ts';

// Says which worker serves, then echoes.
const { index, listener } = await receiveConnections();
for await (const conn of listener) {
  void (async () => {
    await conn.write(`${index}\n`);
    for await (const bytes of conn) await conn.write(bytes);
    await conn.close();
  })();
}

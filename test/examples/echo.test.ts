import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { start, startNc, startServing } from '../support/program.ts';

for (const form of ['echo', 'echo-protocol']) {
  describe(`examples/${form}.ts`, () => {
    test('gives back 20,000 bytes that the end follows at once, to nc and to socat', async (t) => {
      const { server, port } = await startServing(t, `examples/${form}.ts`);
      const sent = 'portside-echo-20-000'.repeat(1_000);
      const clients = [startNc(t, port, '-N'), start(t, 'socat', ['-t10', '-', `TCP:127.0.0.1:${port}`])];
      for (const client of clients) client.end(sent);
      for (const client of clients) {
        assert.deepEqual(await client.exit, { code: 0, signal: null });
        assert.equal(client.out.length, 20_000);
        assert.ok(client.out === sent);
      }
      assert.equal(server.err, '');
    });

    test('answers piece by piece', async (t) => {
      const { port } = await startServing(t, `examples/${form}.ts`);
      const client = startNc(t, port, '-N');
      for (const word of ['one\n', 'two\n', 'three\n']) {
        client.write(word);
        await client.until(new RegExp(`${word}$`, 'u'));
      }
      client.end();
      assert.deepEqual(await client.exit, { code: 0, signal: null });
    });

    test('gives back megabytes to a client that reads late', async (t) => {
      const { server, port } = await startServing(t, `examples/${form}.ts`);
      const size = 8_000_000;
      const command = `head -c ${size} /dev/zero | socat -t10 - TCP:127.0.0.1:${port} | wc -c`;
      const client = start(t, 'sh', ['-c', command]);
      await client.exit;
      assert.equal(Number(client.out), size);
      assert.equal(server.err, '');
    });
  });
}

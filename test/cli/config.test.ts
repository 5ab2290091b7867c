import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { startNc } from '../support/program.ts';
import { folderWith, startCommandIn, startPortsideIn } from './command.ts';

describe('portside.config.ts', () => {
  test('says all that the command line can, and what to serve', async (t) => {
    const at = folderWith(t, {
      'portside.config.ts': `
        import { defineConfig } from 'portside';
        const context = { served: 0 };
        export default defineConfig({
          handler: './tell.ts',
          port: 0,
          context,
          maxConnections: 1,
          whenFull: 'refuse',
          deadlines: { idle: 60_000 },
          verbose: 'from the file',
          onStart: (server) => console.log(\`started on \${server.addresses.length}\`),
          onStop: () => console.log('stopped in order'),
        });`,
    });
    const { server, port } = await startCommandIn(t, at('.'), ['serve']);
    assert.match(
      server.out,
      /^started on 1\nportside: options from portside\.config\.ts\nportside: transport \w+: [^\n]+\nportside: serving \.\/tell\.ts on 127\.0\.0\.1:/u,
    );
    const first = startNc(t, port, '-d');
    await first.until(/#1/u);
    await startNc(t, port, '-d').exit;
    await server.until(/^\[from the file\] refused 127\.0\.0\.1:\d+: full$/mu, 'err');
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.out, /stopped in order\n$/u);
  });

  test('gives way to the command line, option by option', async (t) => {
    const at = folderWith(t, {
      'portside.config.ts': `export default { handler: './other.ts', listen: ['unix:x.sock'], grace: 60_000, maxConnections: 1, whenFull: 'refuse', verbose: 'file' };`,
    });
    const words = ['serve', 'tell.ts', '--port', '0', '--verbose', 'flag', '--max-connections', '2'];
    const { server, port } = await startCommandIn(t, at('.'), words);
    assert.match(
      server.out,
      /^portside: options from portside\.config\.ts\nportside: transport \w+: [^\n]+\nportside: serving tell\.ts on 127\.0\.0\.1:\d+;[^\n]*\n$/u,
    );
    for (const number of [1, 2]) await startNc(t, port, '-d').until(new RegExp(`#${number} `, 'u'));
    await startNc(t, port, '-d').exit;
    await server.until(/^\[flag\] refused 127\.0\.0\.1:\d+: full$/mu, 'err');
  });

  test('is another file by --config, and none by --no-config', async (t) => {
    const at = folderWith(t, { 'portside.config.ts': 'throw new Error("not this one");' });
    mkdirSync(at('deploy'));
    writeFileSync(at('deploy/live.mjs'), `export default async () => ({ handler: '../tell.ts', port: 0 });`);
    const { server } = await startCommandIn(t, at('.'), ['serve', '--config', 'deploy/live.mjs']);
    assert.match(server.out, /^portside: options from deploy\/live\.mjs\nportside: serving \.\.\/tell\.ts on /u);
    const none = await startCommandIn(t, at('.'), ['serve', 'tell.ts', '-p', '0', '--no-config']);
    assert.match(none.server.out, /^portside: serving tell\.ts on /u);
  });

  test('may hold the handler itself, and is good for exec too, which has no use for that', async (t) => {
    const at = folderWith(t, {
      'portside.config.ts': `export default { handler: (conn: { write(text: string): unknown }) => void conn.write('by the file\\n'), port: 0 };`,
    });
    const { server, port } = await startCommandIn(t, at('.'), ['serve']);
    assert.match(server.out, /serving portside\.config\.ts on /u);
    const client = startNc(t, port, '-d');
    await client.exit;
    assert.equal(client.out, 'by the file\n');
    const exec = await startCommandIn(t, at('.'), ['exec', '--', 'echo', 'by the program']);
    const other = startNc(t, exec.port, '-d');
    await other.exit;
    assert.equal(other.out, 'by the program\n');
  });

  test('that is wrong is told in one line with all that is wrong, and exit code 1', async (t) => {
    const at = folderWith(t, {
      'portside.config.ts': `export default { handler: './tell.ts', prot: 0, port: -1, grace: '1s' };`,
    });
    const server = startPortsideIn(t, at('.'), ['serve']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(
      server.err,
      /^portside: portside\.config\.ts: prot is not an option; did you mean "port"\?; port must be .*; grace must be [^\n]*, got "1s"\n$/u,
    );
  });

  test('that says nowhere where to listen, or nothing to serve, is wrong usage', async (t) => {
    const at = folderWith(t, { 'portside.config.ts': 'export default { backlog: 5 };' });
    for (const [words, says] of [
      [
        ['serve', 'tell.ts'],
        /^error: say where to listen: --port or --endpoint, or port or listen in portside\.config\.ts\n/u,
      ],
      [
        ['serve', '-p', '0'],
        /^error: missing required argument 'module'; name it, or say handler: .* in portside\.config\.ts\n/u,
      ],
    ] as const) {
      const server = startPortsideIn(t, at('.'), words);
      assert.deepEqual(await server.exit, { code: 2, signal: null });
      assert.match(server.err, says);
      assert.match(server.err, /Try portside serve --help\.\n$/u);
    }
  });
});

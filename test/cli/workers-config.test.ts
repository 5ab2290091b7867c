import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineConfig } from '../../src/parallel/config.ts';
import type { Config } from '../../src/parallel/config.ts';
import { Server } from '../../src/server/server.ts';
import { start } from '../support/program.ts';
import { startCommandIn, startPortsideIn } from './command.ts';
import { call, sayings } from './workers.ts';

/** What says where functions of a config file run. */
const WHERE = `
import { threadId } from 'node:worker_threads';
const here = (what: string): void => console.log(\`\${what} in \${threadId === 0 ? 'the parent' : 'a worker'}\`);
`;

describe('a config file with workers', () => {
  test('says how many, and how; the command line goes over it', async (t) => {
    const at = sayings(t, {
      'portside.config.ts': `export default { handler: './say.ts', port: 0, workers: 3, dispatch: 'round-robin', restart: { delay: 7 } };`,
    });
    const { server, port } = await startCommandIn(t, at('.'), ['serve', '--workers', '2']);
    assert.match(
      server.out,
      /^portside: options from portside\.config\.ts\nportside: serving \.\/say\.ts on .* with 2 workers, round-robin; /u,
    );
    const { client } = await call(t, port);
    client.write('exit\n');
    await server.until(/; another starts in 7ms$/mu, 'err');
  });

  test('its functions run where they belong', async (t) => {
    const at = sayings(t, {
      'portside.config.ts': `${WHERE}
        import { defineConfig } from 'portside';
        export default defineConfig({
          handler: './tell.ts', port: 0, workers: 2, shutdown: ':0',
          context: { word: 'yours' },
          onStart: () => here('onStart'),
          onStop: () => here('onStop'),
          onError: (error) => here(\`onError: \${(error as Error).message}\`),
          dispatch: (peer, workers) => { here('dispatch'); return workers.length - 1; },
          shutdownHandler: () => { here('shutdownHandler'); return true; },
        });`,
      'tell.ts': `export default async (conn, { context }) => {
        await conn.write(\`thread 1 \${context.word}\\n\`);
        if ((await conn.readLine()) === 'fail') throw new Error('asked to fail');
      };`,
    });
    const { server, port } = await startCommandIn(t, at('.'), ['serve']);
    await server.until(/with 2 workers, dispatched by a function/u);
    const { client, word } = await call(t, port);
    assert.equal(word, 'yours');
    client.write('fail\n');
    await server.until(/^onError: asked to fail in a worker$/mu);
    const [, stop = ''] = await server.until(/stops it: (nc .*)\n/u);
    await start(t, 'sh', ['-c', stop]).exit;
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    const lines = server.out.split('\n').filter((line) => / in (?:the parent|a worker)$/u.test(line));
    assert.deepEqual(lines.toSorted(), [
      'dispatch in the parent',
      'onError: asked to fail in a worker',
      'onStart in a worker',
      'onStart in a worker',
      'onStop in a worker',
      'onStop in a worker',
      'shutdownHandler in the parent',
    ]);
    // Its own onError sees to it.
    assert.doesNotMatch(server.err, /asked to fail/u);
  });

  for (const [what, text] of [
    ['an object', (options: string): string => `export default ${options};`],
    ['a function, which may be async,', (options: string): string => `export default async () => (${options});`],
  ] as const) {
    test(`that is ${what} may have the handler itself`, async (t) => {
      const handler = `async (conn, { context }) => { await conn.write(\`thread 1 \${context.word}\\n\`); }`;
      const at = sayings(t, {
        'portside.config.mjs': text(`{ handler: ${handler}, context: { word: 'here' }, port: 0, workers: 2 }`),
      });
      const { port } = await startCommandIn(t, at('.'), ['serve']);
      assert.equal((await call(t, port)).word, 'here');
    });
  }

  test('may have the handler alone', async (t) => {
    const at = sayings(t, {
      'portside.config.mjs': `export default { handler: { open: (conn) => void conn.write('thread 1 alone\\n') }, port: 0, workers: 1 };`,
    });
    const { port } = await startCommandIn(t, at('.'), ['serve']);
    assert.equal((await call(t, port)).word, 'alone');
  });

  test('options of the handler’s module go before those of the file', async (t) => {
    const at = sayings(t, {
      'portside.config.mjs': `export default { context: { word: 'file' }, port: 0, workers: 1 };`,
      'own.mjs': `export const options = { context: { word: 'own' } };
        export default async (conn, { context }) => { await conn.write(\`thread 1 \${context.word}\\n\`); };`,
    });
    const { port } = await startCommandIn(t, at('.'), ['serve', 'own.mjs']);
    assert.equal((await call(t, port)).word, 'own');
  });

  test('is for exec too, which has no workers', async (t) => {
    const at = sayings(t, { 'portside.config.mjs': `export default { workers: 2, dispatch: 'hash', port: 0 };` });
    const { server } = await startCommandIn(t, at('.'), ['exec', '--', 'date']);
    assert.match(server.out, /^portside: running date on 127\.0\.0\.1:\d+; connect/mu);
  });

  test('that is wrong is told at once, with exit code 1', async (t) => {
    const at = sayings(t, {
      'portside.config.mjs': `export default {
        handler: './say.ts', port: 0, workers: 0, dispatch: 'best', watchdog: 1, resourceLimits: { heap: 1 }, transport: {},
      };`,
    });
    const server = startPortsideIn(t, at('.'), ['serve']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    for (const option of ['workers must', 'dispatch must', 'watchdog must', 'resourceLimits', 'transport must'])
      assert.ok(server.err.includes(option), `${option}: ${server.err}`);
  });

  test('a transport of one thread is told', async (t) => {
    const at = sayings(t, {
      'portside.config.ts': `import { memoryNetwork } from 'portside';
        export default { handler: './say.ts', port: 0, workers: 2, transport: memoryNetwork().transport };`,
    });
    const server = startPortsideIn(t, at('.'), ['serve']);
    assert.deepEqual(await server.exit, { code: 1, signal: null });
    assert.match(server.err, /^portside: portside\.config\.ts: transport must be /u);
  });

  test('has types that say which server a function is given', () => {
    const config: Config<{ word: string }> = defineConfig({
      workers: 'cores',
      dispatch: { hash: { ipv4: 24 } },
      onWorkerDeath: 'shrink',
      queue: 5,
      context: { word: 'x' },
      onStart: ({ context }) => void context.word.length,
      shutdownHandler: (server) => server instanceof Server || server.status().workers.length > 0,
      // @ts-expect-error It is the worker's own server.
      onStop: (server) => void server.reload,
    });
    assert.equal(config.workers, 'cores');
  });
});

import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { startPortside } from '../support/program.ts';
import { startCommand } from './command.ts';
import { call, sayings, startSaying, wordIs } from './workers.ts';

describe('SIGHUP with workers', () => {
  test('takes up new code: those who are connected stay with the old, to their end', async (t) => {
    const { server, port, at } = await startSaying(t, '--workers', '2');
    const before = await call(t, port);
    assert.equal(before.word, 'one');
    writeFileSync(at('word.ts'), wordIs('two'));
    server.signal('SIGHUP');
    await server.until(/^portside: SIGHUP, reloaded: 2 new workers serve, 2 old ones drain$/mu, 'err');
    const after = await call(t, port);
    assert.equal(after.word, 'two');
    assert.notEqual(after.thread, before.thread);
    before.client.write('still here\n');
    await before.client.until(/still here!/u);
    before.client.end();
    assert.deepEqual(await before.client.exit, { code: 0, signal: null });
    after.client.end();
    await after.client.exit;
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  test('with code that is wrong says so, and the old goes on', async (t) => {
    const { server, port, at } = await startSaying(t, '--workers', '2');
    writeFileSync(at('word.ts'), `${wordIs('two')}throw new Error('half done');`);
    server.signal('SIGHUP');
    await server.until(
      /^portside: SIGHUP, and the old code goes on: worker [01] could not start: half done \(--verbose .*\)$/mu,
      'err',
    );
    assert.equal((await call(t, port)).word, 'one');
    writeFileSync(at('word.ts'), wordIs('three'));
    server.signal('SIGHUP');
    await server.until(/SIGHUP, reloaded: 2 new workers serve/u, 'err');
    assert.equal((await call(t, port)).word, 'three');
  });

  test('says where it can not be seamless', async (t) => {
    const words = ['--workers', '2', '--dispatch', 'kernel', '--transport', 'node'];
    const { server } = await startSaying(t, ...words);
    server.signal('SIGHUP');
    await server.until(
      /SIGHUP, reloaded: 2 new workers serve, 2 old ones drain; this could not be seamless: the workers bind the port by themselves/u,
      'err',
    );
  });

  test('does nothing while it is starting or stopping, and says so', async (t) => {
    const at = sayings(t, {
      'slow.ts': `console.log('loading');\nsetInterval(() => {}, 1_000);\nawait new Promise(() => {});`,
    });
    const slow = startPortside(t, ['serve', at('slow.ts'), '-p', '0', '--workers', '1']);
    await slow.until(/loading/u);
    slow.signal('SIGHUP');
    await slow.until(/SIGHUP, while it is starting; nothing is done\n/u, 'err');
    const { server, port } = await startCommand(t, ['serve', at('say.ts'), '-p', '0', '--workers', '1']);
    const { client } = await call(t, port);
    server.signal('SIGTERM');
    await server.until(/waiting for 1 connection/u, 'err');
    server.signal('SIGHUP');
    await server.until(/SIGHUP, while it is stopping; nothing is done\n/u, 'err');
    client.end();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});

describe('--watch', () => {
  test('reloads when what the module imports changes, in one worker when there are no others', async (t) => {
    const { server, port, at } = await startSaying(t, '--watch');
    await server.until(/ with 1 worker, least-busy; /u);
    const before = await call(t, port);
    writeFileSync(at('word.ts'), wordIs('two'));
    await server.until(/^portside: word\.ts changed, reloaded: 1 new worker serves, 1 old one drains$/mu, 'err');
    assert.equal((await call(t, port)).word, 'two');
    before.client.write('still here\n');
    await before.client.until(/still here!/u);
  });

  test('goes on watching after code that is wrong, and what is new in what is imported', async (t) => {
    const { server, port, at } = await startSaying(t, '--watch', '--workers', '2');
    writeFileSync(at('word.ts'), 'export const word: string = ;');
    await server.until(/^portside: word\.ts changed, and the old code goes on: worker \d could not start: /mu, 'err');
    assert.equal((await call(t, port)).word, 'one');
    mkdirSync(at('more'));
    writeFileSync(at('more/other.ts'), wordIs('two'));
    // As editors do it: another file takes the name.
    writeFileSync(at('word.ts.new'), `export { word } from './more/other.ts';`);
    renameSync(at('word.ts.new'), at('word.ts'));
    await server.until(/^portside: word\.ts changed, reloaded: 2 new workers serve, 2 old ones drain$/mu, 'err');
    assert.equal((await call(t, port)).word, 'two');
    rmSync(at('more/other.ts'));
    await server.until(/^portside: other\.ts changed, and the old code goes on: .*other\.ts/mu, 'err');
    writeFileSync(at('more/other.ts'), wordIs('three'));
    await server.until(/^portside: other\.ts changed, reloaded: 2 new workers serve/mu, 'err');
    assert.equal((await call(t, port)).word, 'three');
  });

  test('sees to the module itself, and to nothing that it does not import', async (t) => {
    const { server, at } = await startSaying(t, '--watch');
    writeFileSync(at('notes.ts'), 'of no interest');
    writeFileSync(at('say.ts'), 'export default (): void => {};');
    await server.until(/^portside: say\.ts changed, reloaded: 1 new worker serves/mu, 'err');
    assert.doesNotMatch(server.err, /notes|more/u);
  });
});

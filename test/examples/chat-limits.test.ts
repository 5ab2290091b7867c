import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { startNc, startServing } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { Fate, Stage } from '../server/virtual.ts';
import { startWith } from './serving.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place does the example get the same copy of portside as this file.
const { default: chat } = await import('../../examples/chat.ts');

const FAST = '* not so fast: nobody heard that\n';
const OUT = '* you were told; goodbye\n';

/** A room in a time of its own, with somebody who only listens. */
async function room(t: TestContext): Promise<{ stage: Stage; ear: Fate; enter: (name: string) => Promise<Fate> }> {
  const stage = new Stage();
  const server = await stage.serve(chat);
  const clients: Fate[] = [];
  t.after(() => stage.end(server, ...clients.map(({ client }) => client)));
  const enter = async (name: string): Promise<Fate> => {
    const fate = new Fate(await stage.dial(server));
    clients.push(fate);
    void fate.client.write(`${name}\n`);
    await stage.clock.settle();
    fate.text = '';
    return fate;
  };
  return { stage, ear: await enter('ear'), enter };
}

/** What somebody said that the others heard. */
function heard({ text }: Fate, name: string): number {
  return text.split('\n').filter((line) => line.startsWith(`${name}: `)).length;
}

describe('how fast one may talk in examples/chat.ts', () => {
  test('is 8 lines at once, the name counted, and 2 a second, however long', async (t) => {
    const { stage, ear, enter } = await room(t);
    const ada = await enter('ada');
    void ada.client.write('a\n'.repeat(7));
    await stage.clock.settle();
    assert.deepEqual([heard(ear, 'ada'), ada.text.includes(FAST)], [7, false]);
    void ada.client.write('too much\n');
    await stage.clock.settle();
    assert.deepEqual([heard(ear, 'ada'), ada.text.endsWith(FAST)], [7, true]);
    for (let i = 1; i <= 100; i += 1) {
      await stage.clock.advance(500);
      void ada.client.write('b\n');
      await stage.clock.settle();
      assert.equal(heard(ear, 'ada'), 7 + i);
    }
    assert.equal(ada.text.split(FAST).length, 2);
    assert.equal(ada.end, null);
    // Silence is not saved up.
    await stage.clock.advance(3_600_000);
    void ada.client.write('c\n'.repeat(12));
    await stage.clock.settle();
    assert.deepEqual([heard(ear, 'ada'), ada.text.split(FAST).length], [7 + 100 + 8, 2 + 4]);
  });

  test('who goes on is put out, and all know', async (t) => {
    const { stage, ear, enter } = await room(t);
    const ada = await enter('ada');
    const lines = Array.from({ length: 100 }, (_, i) => `${i}\n`);
    void ada.client.write(lines.join(''));
    await stage.clock.settle();
    assert.equal(heard(ear, 'ada'), 7);
    assert.ok(ada.text.endsWith(`ada: 6\n${FAST.repeat(5)}${OUT}`), ada.text);
    assert.equal(ada.end, 'eof');
    assert.ok(ear.text.endsWith('ada: 6\n* ada departed\n'), ear.text);
    // Nobody else was disturbed, and the name is free.
    const again = await enter('ada');
    void again.client.write('sorry\n');
    await stage.clock.settle();
    assert.ok(ear.text.endsWith('ada: sorry\n'));
  });

  test('who heeds it may go on, and is forgiven line by line', async (t) => {
    const { stage, ear, enter } = await room(t);
    const ada = await enter('ada');
    void ada.client.write('a\n'.repeat(12));
    await stage.clock.settle();
    assert.equal(ada.text.split(FAST).length, 6);
    for (let i = 0; i < 3; i += 1) {
      await stage.clock.advance(500);
      void ada.client.write('slowly\n');
    }
    await stage.clock.settle();
    assert.equal(heard(ear, 'ada'), 10);
    void ada.client.write('a\n'.repeat(3));
    await stage.clock.settle();
    assert.deepEqual([ada.text.split(FAST).length, ada.end], [9, null]);
    void ada.client.write('a\n');
    await stage.clock.settle();
    assert.ok(ada.text.endsWith(OUT));
    assert.equal(ada.end, 'eof');
  });

  test('holds for empty lines and for names too', async (t) => {
    const { stage, ear, enter } = await room(t);
    const empty = await enter('empty');
    void empty.client.write('\n'.repeat(100));
    const names = await enter('no name');
    void names.client.write('no name either\n'.repeat(100));
    await stage.clock.settle();
    for (const { text, end } of [empty, names]) assert.deepEqual([text.endsWith(OUT), end], [true, 'eof']);
    assert.doesNotMatch(ear.text, /no name/u);
  });

  test('a line can do nothing to the terminals of the others', async (t) => {
    const { stage, ear, enter } = await room(t);
    const ada = await enter('ada');
    void ada.client.write('\u001B[2J\u0007\u009B1mhello\rbob: hi\r\n');
    await stage.clock.settle();
    assert.ok(ear.text.endsWith('ada:  [2J  1mhello bob: hi\n'), JSON.stringify(ear.text));
  });
});

describe('examples/chat.ts', () => {
  test('puts out nc that sends all it has at once, and nobody else', async (t) => {
    const { server, port } = await startServing(t, 'examples/chat.ts');
    const bob = startNc(t, port, '-N');
    bob.write('bob\n');
    await bob.until(/first one here/u);
    const ada = startNc(t, port, '-N');
    ada.end(`ada\n${'hello\n'.repeat(5_000)}`);
    await ada.exit;
    assert.match(ada.out, /\* not so fast: nobody heard that\n\* you were told; goodbye\n$/u);
    await bob.until(/\* ada departed\n/u);
    assert.ok(bob.out.split('ada: hello\n').length < 100);
    bob.end('are you there?\n');
    await bob.exit;
    assert.match(bob.out, /bob: are you there\?\n$/u);
    assert.equal(server.err, '');
  });

  const withConfig = ['serve', '--config', 'examples/chat.config.ts', '--port', '0'];

  /** One more client, who has entered or was told why not. */
  async function another(t: TestContext, port: number): Promise<Program> {
    const client = startNc(t, port, '-N');
    await client.until(/\n/u);
    return client;
  }

  test('lets in 5 of one client by its config, and tells the next why not', async (t) => {
    const { port } = await startWith(t, [...withConfig, '--rate', 'none']);
    const clients = [];
    for (let i = 0; i < 5; i += 1) clients.push(await another(t, port));
    for (const { out } of clients) assert.equal(out, 'What is your name?\n');
    const refused = await another(t, port);
    assert.equal(refused.out, 'You are here 5 times already.\n');
    refused.end();
    await refused.exit;
    // Another address has its own.
    const other = startNc(t, port, '-N', '-s', '127.0.0.2');
    await other.until(/name\?/u);
    clients[0]?.end();
    await clients[0]?.exit;
    await other.until(/name\?/u);
  });

  test('tells who comes too often when to come again', async (t) => {
    const { port } = await startWith(t, [...withConfig, '--per-client', 'none']);
    const clients = [];
    for (let i = 0; i < 20; i += 1) clients.push(await another(t, port));
    const refused = clients.filter(({ out }) => out !== 'What is your name?\n');
    assert.ok(refused.length > 0 && refused.length <= 15, String(refused.length));
    for (const { out } of clients.slice(0, 5)) assert.equal(out, 'What is your name?\n');
    for (const { out } of refused) assert.match(out, /^You come too often\. Try again in [1-3] s\.\n$/u);
  });
});

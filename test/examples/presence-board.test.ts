import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { startNc, startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';

async function board(t: TestContext): Promise<{ server: Program; port: number }> {
  const server = startNode(t, ['examples/presence-board.ts'], { PORT: '0' });
  const [, port] = await server.until(/here: nc 127\.0\.0\.1 (\d+)\n/u);
  return { server, port: Number(port) };
}

/** Somebody who comes, when he sees himself. */
async function guest(t: TestContext, port: number, name?: string): Promise<Program> {
  const nc = startNc(t, port, '-N');
  await nc.until(/^\+ guest \d+ \(you\)\n/mu);
  if (name === undefined) return nc;
  nc.write(`name ${name}\n`);
  await nc.until(new RegExp(`^\\+ ${name} \\(you\\)\n`, 'mu'));
  return nc;
}

const lines = (program: Program): string[] => program.out.split('\n').slice(0, -1);

describe('examples/presence-board.ts', { concurrency: 2 }, () => {
  test('shows each who is here, who comes and who goes', async (t) => {
    const { port } = await board(t);
    const ann = await guest(t, port);
    const bob = await guest(t, port);
    await ann.until(/\+ guest 2\n/u);
    assert.deepEqual(lines(ann), ['+ guest 1 (you)', '+ guest 2']);
    assert.deepEqual(lines(bob).toSorted(), ['+ guest 1', '+ guest 2 (you)']);
    ann.write('name ann\n');
    await bob.until(/- guest 1\n/u);
    await ann.until(/- guest 1\n/u);
    assert.deepEqual(lines(bob).slice(2), ['+ ann', '- guest 1']);
    assert.deepEqual(lines(ann).slice(2), ['+ ann (you)', '- guest 1']);
    const cid = await guest(t, port, 'cid');
    assert.ok(lines(cid).includes('+ ann') && lines(cid).includes('+ guest 2'));
    assert.ok(!lines(cid).includes('+ guest 1'), 'who has another name now is not shown by the old one');
    ann.end();
    await bob.until(/- ann\n/u);
    assert.deepEqual(await ann.exit, { code: 0, signal: null });
    bob.signal('SIGKILL');
    await cid.until(/- guest 2\n/u);
    assert.deepEqual(lines(cid).slice(-2), ['- ann', '- guest 2']);
  });

  test('hears names by lines, however they come, and nothing else', async (t) => {
    const { port } = await board(t);
    const ann = await guest(t, port);
    ann.write('na');
    const bob = await guest(t, port, 'bob');
    ann.write('me ann\r\nname  eve\u0007 \nhello\nname ');
    await ann.until(/Say "name"/u);
    ann.write(`${'x'.repeat(100)}\n`);
    await bob.until(/\+ x+\n/u);
    const seen = lines(bob).filter((line) => line.startsWith('+') && !line.includes('guest'));
    assert.deepEqual(seen, ['+ bob (you)', '+ ann', '+ eve', `+ ${'x'.repeat(32)}`]);
  });

  test('shows two of the same name as two', async (t) => {
    const { port } = await board(t);
    const [ann, other, bob] = [await guest(t, port, 'ann'), await guest(t, port, 'ann'), await guest(t, port, 'bob')];
    assert.equal(lines(bob).filter((line) => line === '+ ann').length, 2);
    ann.end();
    await bob.until(/- ann\n/u);
    other.end();
    await bob.until(/- ann\n[^]*- ann\n/u);
  });

  test('has place for so many, and again when one has gone', async (t) => {
    const { server, port } = await board(t);
    const guests = await Promise.all(Array.from({ length: 200 }, () => guest(t, port)));
    const late = startNc(t, port, '-N');
    await late.until(/\n/u);
    late.end();
    assert.deepEqual(await late.exit, { code: 0, signal: null });
    assert.equal(late.out, 'There is no place left.\n');
    const [first, second] = guests as [Program, Program];
    const [, number = ''] = /\+ guest (\d+) \(you\)/u.exec(first.out) ?? [];
    first.end();
    await second.until(new RegExp(`- guest ${number}\n`, 'u'));
    await guest(t, port);
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(server.err, '');
    for (const each of guests) each.end();
    await Promise.all(guests.map(({ exit }) => exit));
  });

  test('says why when it can not begin', async (t) => {
    const { port } = await board(t);
    const second = startNode(t, ['examples/presence-board.ts'], { PORT: String(port) });
    assert.deepEqual(await second.exit, { code: 1, signal: null });
    assert.match(second.err, /in use|EADDRINUSE/u);
  });
});

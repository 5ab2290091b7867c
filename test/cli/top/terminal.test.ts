/* oxlint-disable no-control-regex -- what steers a terminal begins with one */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { inCheckout, start, startNc } from '../../support/program.ts';
import type { Program } from '../../support/program.ts';
import { folderWith, startCommand } from '../command.ts';
import { atTerminal, topAt } from './looking.ts';
import type { Looking } from './looking.ts';

/** Fails with what its client says. */
const FAILING = `
import type { Connection } from 'portside';
export default async function fail(conn: Connection): Promise<void> {
  await conn.write('hello\\n');
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line !== 'busy') throw new Error(line);
    conn.busy = true;
    await conn.write('busy!\\n');
  }
}
`;

interface Administered {
  readonly server: Program;
  readonly port: number;
  readonly admin: string;
}

async function administered(t: TestContext, admin = ':0', ...args: readonly string[]): Promise<Administered> {
  const module = folderWith(t, { 'fail.ts': FAILING })('fail.ts');
  const started = await startCommand(t, ['serve', module, '--port', '0', '--admin', admin, ...args]);
  const [, at = ''] = await started.server.until(/^portside: admin on (?:http|unix):\/\/(.*); look with: /mu);
  return { ...started, admin: at };
}

async function caller(t: TestContext, port: number): Promise<Program> {
  const client = startNc(t, port);
  await client.until(/^hello\n/u);
  return client;
}

/** How it ended, and how the terminal was left. */
async function left(looking: Looking): Promise<string> {
  await looking.program.exit;
  assert.equal(looking.other, false, 'the screen is not given back');
  assert.match(looking.program.out, /\x1b\[\?25h/u, 'there is a cursor again');
  assert.match(looking.program.out, / icanon .* echo /su, 'the terminal reads lines again');
  return /^code (\d+)/mu.exec(looking.program.out)?.[1] ?? '';
}

describe('portside top at a terminal', () => {
  test('shows what a server does, and its keys act', async (t) => {
    const { server, port, admin } = await administered(t, folderWith(t)('admin.sock'), '--grace', '1m');
    const clients = [await caller(t, port), await caller(t, port), await caller(t, port)];
    const looking = topAt(t, admin);
    const [, pid = ''] = await looking.program.until(/pid (\d+)/u);
    const [, tty = ''] = await looking.program.until(/(\/dev\/\S+)/u);
    await looking.until(/fail\.ts  running, up \d+s\n127\.0\.0\.1:\d+  process \d+, portside /u);
    await looking.until(/open +3 of 10000/u);
    await looking.until(/age↓[^\n]*\n *1 127\.0\.0\.1:\d+ +idle[^\n]*\n *2 [^\n]*\n *3 /u);

    // The order, the other way around, and the filter.
    await looking.press('SSr', /queued↑/u);
    await looking.press('s', /id↑[^\n]*\n *1 /u);
    await looking.press('r', /id↓[^\n]*\n *3 /u);
    clients[1]!.write('busy\n');
    await clients[1]!.until(/busy!/u);
    await looking.press('/doing=sleeping\r', /doing can be opening, busy/u);
    await looking.press('\x15doing=busy\r', /id↓[^\n]*\n *2 [^\n]+busy[^\n]*\n\n[^]*1 of 3 open, where doing=busy/u);

    // What a stranger says is shown as what it is.
    clients[0]!.write('\x1b]0;owned\x07\x1b[2J\n');
    await looking.until(/error: \\x1b\]0;owned\\x07\\x1b\[2J/u);
    await looking.press('/\x15\r', /\n2 open/u);

    // Nothing is done without a yes; what is chosen is closed, and no other.
    await looking.press('jc', /close 2 of 127\.0\.0\.1:\d+\? y: in order, r: by a reset; any other key: no/u);
    await looking.press('n', /nothing was done/u);
    await looking.press('cy', /2 was closed/u);
    clients[1]!.end();
    assert.equal((await clients[1]!.exit).code, 0);
    await looking.until(/open +1 of 10000/u);

    await looking.press('uy', /the server is suspended, not ready/u);
    await looking.press('uy', /the server is running/u);
    await looking.until(/fail\.ts {2}running/u);
    await looking.press('p', / held$/mu);
    await looking.press('p', /running, up \d+s(?:, 1 error)?\n/u);
    await looking.press('?', /Ctrl-C +quit; the server goes on/u);
    await looking.press('e', /what has happened, the latest first\n[^]*resume by .*: running/u);

    // It is drawn anew for another size.
    const { length } = looking.program.out;
    start(t, 'stty', ['-F', tty, 'cols', '40', 'rows', '12']);
    await looking.until(/^(?:[^\n]{0,40}\n){11}[^\n]{0,40}$/u);
    assert.ok(looking.program.out.includes('\x1b[2J', length), 'nothing of the old size is left');
    start(t, 'stty', ['-F', tty, 'cols', '100', 'rows', '30']);
    await looking.until(/\n[^\n]{41}/u);

    await looking.press('e', /1 open +\? keys/u);
    const last = clients[2]!;
    last.write('busy\n');
    await last.until(/busy!/u);
    await looking.press('dy', /drain +1 left, \d+s to go/u);
    await looking.press('t0', /gone for/u);
    assert.equal((await server.exit).code, 0);

    // Another server in its place.
    await administered(t, admin);
    await looking.until(/process \d+ is there instead/u);
    await looking.until(/running, up/u);
    assert.deepEqual(looking.unknown, []);
    process.kill(Number(pid), 'SIGTERM');
    assert.equal(await left(looking), '0');
  });

  test('gives the terminal back however it ends', async (t) => {
    const { admin } = await administered(t);
    const crash = inCheckout('test/cli/top/crash-program.ts');
    const quit = topAt(t, admin, [], { env: { NO_COLOR: '1' } });
    const interrupted = topAt(t, admin);
    const counted = topAt(t, admin, ['--count', '1'], { columns: 40, rows: 10 });
    const crashed = atTerminal(t, [crash]);
    await quit.until(/running, up/u);
    await interrupted.until(/running, up/u);
    quit.program.write('q');
    interrupted.program.write('\x03');
    for (const looking of [quit, interrupted, counted]) assert.equal(await left(looking), '0');
    assert.doesNotMatch(quit.program.out, /\x1b\[3\dm/u);
    assert.match(interrupted.program.out, /\x1b\[3\dm/u);
    assert.equal(await left(crashed), '1');
    // What it died of can be read.
    assert.match(crashed.program.out, /\x1b\[\?1049l[^]*Error: out of luck/u);
  });
});

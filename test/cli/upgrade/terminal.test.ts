import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { inCheckout, start } from '../../support/program.ts';
import type { Program } from '../../support/program.ts';
import { folderWith } from '../command.ts';
import { isAlive, untilGone } from '../processes.ts';

interface Terminal {
  /** The terminal is there for as long as this is. */
  readonly terminal: Program;
  /** The supervisor and the program below it. */
  readonly pids: readonly [number, number];
  /** What was said on stderr, which goes to a file. */
  readonly err: () => string;
}

/** `portside serve --upgradable`, begun at a terminal. */
async function atTerminal(t: TestContext): Promise<Terminal> {
  const command = `${process.execPath} --import ${inCheckout('scripts/on-source.ts')} ${inCheckout('src/cli/bin.ts')}`;
  const at = folderWith(t, {
    'run.sh': `trap : INT; ${command} serve pid.ts -p 0 --upgradable 2> err; echo "ended with $?"`,
    'pid.ts': `console.log('program ' + process.pid);\nexport default () => {};`,
  });
  const terminal = start(t, 'socat', ['-', `SYSTEM:cd '${at('.')}' && exec sh run.sh,pty,setsid,ctty,echo=0`]);
  const [, program] = await terminal.until(/program (\d+)\r?\n/u);
  const [, supervisor] = await terminal.until(/kill -USR2 (\d+)/u);
  const pids = [Number(supervisor), Number(program)] as const;
  // In sessions of their own, nobody else would end them.
  t.after(() => {
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  return { terminal, pids, err: () => (existsSync(at('err')) ? readFileSync(at('err'), 'utf8') : '') };
}

test('Ctrl-C ends it once, in order, and with exit code 0', async (t) => {
  const { terminal, pids, err } = await atTerminal(t);
  // Signals of the terminal do not come to it.
  const session = execFileSync('ps', ['-o', 'sid=', '-p', String(pids[1])], { encoding: 'utf8' });
  assert.equal(Number(session), pids[1]);
  terminal.write('\u0003');
  await terminal.until(/ended with 0/u);
  for (const pid of pids) await untilGone(pid);
  assert.match(err(), /^portside: SIGINT, stopping\nportside: stopped; no connections were left\n$/u);
});

test('when the terminal goes, it goes too, the program as well', async (t) => {
  const { terminal, pids, err } = await atTerminal(t);
  terminal.signal('SIGKILL');
  for (const pid of pids) await untilGone(pid);
  assert.match(err(), /^portside: SIGHUP, and the terminal is gone; stopping\nportside: SIGTERM, stopping\n/u);
});

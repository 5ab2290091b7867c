import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inCheckout, start } from '../support/program.ts';
import { folderWith } from './command.ts';
import { isAlive, untilGone } from './processes.ts';

/** Looks until a file has what is asked for; the runner's time limit ends it. */
async function untilFile(file: string, what: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const match = what.exec(existsSync(file) ? readFileSync(file, 'utf8') : '');
    if (match !== null) return match;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('when the terminal goes that it was begun at, the server goes too', async (t) => {
  const at = folderWith(t, {
    'run.sh': `echo $$ > pid; exec ${process.execPath} --import ${inCheckout('scripts/on-source.ts')} ${inCheckout('src/cli/bin.ts')} serve tell.ts -p 0 2> err`,
  });
  // The terminal is there for as long as socat is.
  const terminal = start(t, 'socat', ['-', `SYSTEM:cd '${at('.')}' && exec sh run.sh,pty,setsid,ctty,echo=0`]);
  await terminal.until(/connect with: nc/u);
  const pid = Number((await untilFile(at('pid'), /\d+/u))[0]);
  // In a session of its own, nobody else would end it.
  t.after(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  assert.ok(isAlive(pid));
  process.kill(pid, 'SIGHUP');
  await untilFile(at('err'), /SIGHUP, and nothing to read anew/u);
  terminal.signal('SIGKILL');
  await untilGone(pid);
  assert.match(
    readFileSync(at('err'), 'utf8'),
    /SIGHUP, and the terminal is gone; stopping\nportside: stopped; no connections were left\n$/u,
  );
});

import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { quoted } from '../../src/cli/hints.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { ListenOptions } from '../../src/net/listen.ts';
import { inCheckout, start, startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';

/** A server in this process, until the test is over: what comes is given to `serve`. */
export interface Served {
  readonly port: number;
  /** As `portside connect` takes it. */
  readonly endpoint: string;
}

/** Serves each connection by a function; what that throws, as when its client goes, is of no interest. */
export async function served(
  t: TestContext,
  serve: (conn: Connection) => Promise<void>,
  options: ListenOptions = { port: 0, host: '127.0.0.1' },
): Promise<Served> {
  const listener = await listen(options);
  const open = new Set<Connection>();
  t.after(async () => {
    for (const conn of open) conn.abort();
    await listener.close();
  });
  void (async () => {
    for await (const conn of listener) {
      open.add(conn);
      void serve(conn)
        .catch(() => {})
        .then(() => conn.close())
        .then(() => open.delete(conn));
    }
  })().catch(() => {});
  const { address } = listener;
  if ('port' in address) return { port: address.port, endpoint: `127.0.0.1:${address.port}` };
  return { port: 0, endpoint: 'path' in address ? address.path : '' };
}

/** Gives everything back. */
export async function echo(conn: Connection): Promise<void> {
  for await (const bytes of conn) await conn.write(bytes);
}

/** Takes a line, and tells a few more before it ends. */
export function answering(...lines: readonly string[]): (conn: Connection) => Promise<void> {
  return async (conn) => {
    await conn.readLine();
    for (const line of lines) await conn.write(line);
  };
}

/** `portside connect …`, with pipes for its input and output. */
export function startConnect(t: TestContext, ...args: readonly string[]): Program {
  return startPortside(t, ['connect', ...args]);
}

/** What came of `portside connect …` when it was given this input, and its end. */
export async function connected(
  t: TestContext,
  input: string,
  ...args: readonly string[]
): Promise<{ code: number | null; out: string; err: string }> {
  const program = startConnect(t, ...args);
  program.end(input);
  const { code } = await program.exit;
  return { code, out: program.out, err: program.err };
}

/** The words of a shell for `portside connect …`. */
function wordsOf(args: readonly string[]): readonly string[] {
  const node = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
  return [process.execPath, ...node, inCheckout('src/cli/bin.ts'), 'connect', ...args];
}

/** `portside connect …` whose output is not read before somebody does. */
export function spawnConnect(
  t: TestContext,
  ...args: readonly string[]
): ChildProcessByStdio<Writable & Counted, Readable, null> {
  const [program = '', ...words] = wordsOf(args);
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => {});
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  return child as unknown as ChildProcessByStdio<Writable & Counted, Readable, null>;
}

interface Counted {
  readonly bytesWritten: number;
}

/** Resolves when numbers that something moves have all begun to, and none has for half a second. */
export async function untilStill(counts: () => readonly number[]): Promise<void> {
  let before = '';
  for (let same = 0; same < 10;) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const numbers = counts();
    const now = numbers.join(' ');
    same = now === before && !numbers.includes(0) ? same + 1 : 0;
    before = now;
  }
}

/** `portside connect …` at a terminal of its own, by script(1). What is written is typed there, and `out` is what its screen shows. */
export function startAtTerminal(t: TestContext, ...args: readonly string[]): Program {
  // A shell between the two would die of the Ctrl-C that the command answers; the user's may be another one, or none.
  const command = `exec ${wordsOf(args).map(quoted).join(' ')}`;
  return start(t, 'script', ['-qefc', command, '/dev/null'], { SHELL: '/bin/sh' });
}

import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const root: string = fileURLToPath(new URL('..', import.meta.url));

/** The path of a file of the repository. */
export function fileIn(...parts: string[]): string {
  return join(root, ...parts);
}

/** What the scripts read of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The package.json of the root. */
export function manifest(): Manifest {
  return JSON.parse(readFileSync(fileIn('package.json'), 'utf8')) as Manifest;
}

/** The environment in which the tools of the checkout, and the Node that runs this script, come first. */
export function environment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const path = [dirname(process.execPath), fileIn('node_modules', '.bin'), process.env['PATH'] ?? ''];
  return { ...process.env, PATH: path.join(delimiter), ...extra };
}

/** How a command is run. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds, after which the command and its children are killed. 120,000 by default. */
  readonly limit?: number;
  /** `show` lets the command write where this script does; `keep`, the default, gives the output back. */
  readonly output?: 'show' | 'keep';
}

/** How a command ended. */
export interface Outcome {
  readonly ok: boolean;
  readonly code: number | null;
  readonly output: string;
  /** Standard output alone. */
  readonly stdout: string;
  readonly milliseconds: number;
}

/**
 * Starts a command in a process group of its own, so that {@link stop} reaches its children too. A signal that asks this
 * script to end is passed on to the group.
 */
export function start(
  command: string,
  args: readonly string[],
  stdio: StdioOptions,
  options: RunOptions = {},
): ChildProcess {
  const { cwd = root, env = environment() } = options;
  const child = spawn(command, args, { cwd, env, stdio, detached: true });
  const pass = (signal: NodeJS.Signals): void => stop(child, signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, pass);
    child.once('close', () => process.removeListener(signal, pass));
  }
  return child;
}

/** Sends a signal to a started command and to all that it started. Nothing happens when it is gone. */
export function stop(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Runs a command to its end. A command that cannot be started, or runs over its limit, is not `ok`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { limit = 120_000, output: where = 'keep' } = options;
  const began = performance.now();
  const child = start(command, args, where === 'show' ? 'inherit' : ['ignore', 'pipe', 'pipe'], options);
  let output = '';
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop(child, 'SIGKILL');
  }, limit);
  return new Promise((resolve) => {
    const done = (code: number | null, note: string): void => {
      clearTimeout(timer);
      if (note !== '' && where === 'show') console.error(note);
      const milliseconds = performance.now() - began;
      resolve({ ok: code === 0 && !late, code, output: output + note, stdout, milliseconds });
    };
    child.once('error', (error) => done(null, `${command} could not be started: ${error.message}\n`));
    child.once('close', (code) => done(code, late ? `${command} was killed after ${limit} ms\n` : ''));
  });
}

/** As {@link run}, and throws with the output when the command fails. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const outcome = await run(command, args, options);
  if (!outcome.ok)
    throw new Error(`${[command, ...args].join(' ')} failed (${outcome.code ?? 'killed'})\n${outcome.output}`);
  return outcome;
}

/** Waits until a test gives something, looking again every 20 milliseconds. Throws with `what` after `limit` milliseconds. */
export async function until<T>(what: string, limit: number, look: () => T | undefined | false): Promise<T> {
  const deadline = performance.now() + limit;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${limit} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

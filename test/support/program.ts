import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const checkout = new URL('../../', import.meta.url);

/** A path of the checkout. */
export function inCheckout(path: string): string {
  return fileURLToPath(new URL(path, checkout));
}

/** A program that runs beside a test, which sees what it prints and is sure that it ends. */
export class Program {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #name: string;
  readonly #waiting = new Set<() => void>();
  readonly exit: Promise<Exit>;
  /** Everything that it printed. */
  out = '';
  err = '';
  #ended = false;

  constructor(t: TestContext, command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#name = [command, ...args].join(' ');
    this.#child = spawn(command, args, {
      cwd: inCheckout('.'),
      // What is told of each connection is of no interest to most tests.
      env: { PORTSIDE_LOG_LEVEL: 'warn', ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
      this.#wake();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
      this.#wake();
    });
    // What is written to a program that has ended is lost, as in a shell.
    this.#child.stdin.on('error', () => {});
    this.exit = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code, signal) => {
        this.#ended = true;
        this.#wake();
        resolve({ code, signal });
      });
    });
    t.after(async () => {
      this.#child.kill('SIGKILL');
      await this.exit;
    });
  }

  /** Waits until `stream` has shown this, and gives the match; fails when the program ends without. */
  async until(what: RegExp, stream: 'out' | 'err' = 'out'): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this[stream].match(what);
      if (match !== null) return match;
      if (this.#ended) throw new Error(`${this.#name} ended without ${String(what)}:\n${this.out}${this.err}`);
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  write(text: string | Uint8Array): void {
    this.#child.stdin.write(text);
  }

  /** Ends its input. */
  end(text: string | Uint8Array = ''): void {
    this.#child.stdin.end(text);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** Runs a program until it ends, or the test does. */
export function start(
  t: TestContext,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  return new Program(t, command, args, env);
}

/** Node with the checkout's sources as `portside`. */
export function startNode(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  // Node 22 warns that it strips types.
  const options = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
  return start(t, process.execPath, [...options, ...args], env);
}

/** The command, from the sources. */
export function startPortside(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  return startNode(t, [inCheckout('src/cli/bin.ts'), ...args], env);
}

/** `portside serve` on a free port, when it is ready. */
export async function startServing(
  t: TestContext,
  file: string,
  options: { readonly args?: readonly string[]; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<{ server: Program; port: number }> {
  const server = startPortside(t, ['serve', file, '--port', '0', ...(options.args ?? [])], options.env);
  const [, port] = await server.until(/connect with: nc 127\.0\.0\.1 (\d+)\n/u);
  return { server, port: Number(port) };
}

/** OpenBSD's netcat, on a port of this machine. With `-N` the end of its input is told to the server; without, it waits for the server's end. */
export function startNc(t: TestContext, port: number, ...options: readonly string[]): Program {
  return start(t, 'nc', [...options, '127.0.0.1', String(port)]);
}

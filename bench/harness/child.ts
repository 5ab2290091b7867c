/** A child process that talks in lines, and never outlives this one. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** Cut out of what children say: where the checkout is says nothing. */
const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));

/** Where Node keeps what it compiled at the start of a server: most of what starting one costs. */
const CACHE: string = fileURLToPath(new URL('../../build/bench/compiled/', import.meta.url));

/** How much of what a child says on stderr is kept, characters. */
const STDERR_KEPT = 4_000;
/** How long a child may take to end after its input has ended, milliseconds. */
const END_PATIENCE = 2_000;

const running = new Set<Child>();

/** Kills every child that still runs. For the last moment of this process; waits for nothing. */
export function killAll(): void {
  for (const child of running) child.kill();
}

export class Child {
  readonly #name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: string[] = [];
  #stderr = '';
  #wake: () => void = () => {};
  #over: string | undefined;
  /** Resolves when the process has ended and its output was read. */
  readonly ended: Promise<void>;

  /** Starts a command, on one core if `core` says which. */
  constructor(
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    core: number | undefined,
  ) {
    this.#name = name;
    const [file = '', ...rest] = core === undefined ? command : ['taskset', '-c', String(core), ...command];
    this.#process = spawn(file, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: CACHE, ...env },
    });
    running.add(this);
    // Writing to a child that has gone: its exit tells it already.
    this.#process.stdin.on('error', () => {});
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      const over = (why: string): void => {
        running.delete(this);
        this.#over ??= why;
        this.#wake();
        resolve();
      };
      this.#process.on('error', (error) => over(`could not be started: ${error.message}`));
      this.#process.on('close', (code, signal) => over(`ended with ${signal ?? `code ${String(code)}`}`));
    });
  }

  /** The process id; taskset becomes the command that it starts, so it is that of the command. */
  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error(`${this.#name} is not running`);
    return pid;
  }

  /**
   * The rest of the next line that begins with `prefix`; lines before it are dropped.
   * Rejects when the child ends, or after `timeout` milliseconds.
   */
  async line(prefix: string, timeout: number): Promise<string> {
    const deadline = performance.now() + timeout;
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        if (line.startsWith(prefix)) return line.slice(prefix.length);
      }
      if (this.#over !== undefined) throw this.#failure(this.#over);
      const left = deadline - performance.now();
      if (left <= 0) throw this.#failure(`did not say ${prefix.trim()} within ${timeout} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sends a line. */
  say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** Ends its input, at which it ends by itself, and kills it if it does not. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    const timer = setTimeout(() => this.kill(), END_PATIENCE);
    await this.ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #failure(what: string): Error {
    return new Error(`${this.#name} ${what}${this.#complaint()}`);
  }

  /** The line of its stderr that says most, after a colon. */
  #complaint(): string {
    const lines = this.#stderr.split('\n').filter((line) => line.trim() !== '');
    const line = lines.find((one) => /^(?:load|echo|\w*Error\b.*|DOMException\b.*):/u.test(one)) ?? lines.at(-1);
    return line === undefined ? '' : `: ${line.trim().replaceAll(ROOT, '')}`;
  }
}

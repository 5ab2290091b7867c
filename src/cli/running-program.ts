import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { PortsideError, systemCode } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Clock } from '../sync/clock.ts';
import { Deadline } from '../sync/deadline.ts';
import { formatAddress } from '../transport/address.ts';
import { abandonAtExit, exists, signalGroup } from './process-group.ts';
import type { Group } from './process-group.ts';

/** A program that did not end well. `pid` is its process id. */
export type ProgramNotice =
  /** It ended by itself with an exit code that is not 0. */
  | { readonly kind: 'failed'; readonly pid: number; readonly code: number }
  /** It died by a signal that was not sent here. */
  | { readonly kind: 'crashed'; readonly pid: number; readonly signal: NodeJS.Signals }
  /** It still ran `after` milliseconds after its connection had ended in order, and was sent SIGTERM. */
  | { readonly kind: 'outlived'; readonly pid: number; readonly after: number }
  /** It ended, but a process that it left behind kept the output open and wrote nothing for `after` milliseconds; that one was sent SIGTERM. */
  | { readonly kind: 'left-open'; readonly pid: number; readonly after: number }
  /** SIGTERM did not end it within `after` milliseconds, and SIGKILL did. */
  | { readonly kind: 'killed'; readonly pid: number; readonly after: number }
  /** The system did not let it be signalled, as when it runs as another user. */
  | { readonly kind: 'out-of-reach'; readonly pid: number; readonly error: unknown };

/** How programs are run; one object serves all connections. */
export interface ProgramSettings {
  readonly file: string;
  /** What it is called by: its `argv[0]`. */
  readonly name: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly killAfter: number;
  readonly onDrain: 'wait' | 'end-input' | 'terminate';
  readonly onNotice: ((notice: ProgramNotice, connection: Connection) => void) | undefined;
}

/**
 * How far its end has come: it runs; it was told that the server wants to stop; it was sent SIGTERM because it has to end; it was sent SIGKILL.
 */
type Stage = 'running' | 'told' | 'asked' | 'killed';

/** One program with its connection as input and output, from its start to the end of its process group. */
export class RunningProgram implements Group {
  readonly #settings: ProgramSettings;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #deadline: Deadline;
  readonly #started: Promise<void>;
  readonly #exit = Promise.withResolvers<void>();
  #stage: Stage = 'running';
  #exited = false;
  #outputOver = false;
  /** A chunk is with the connection, which makes it wait. */
  #writing = false;
  #room: (() => void) | null = null;

  /** Begins it. Throws the system's error when that fails at once; {@link RunningProgram.over} rejects when it fails a little later. */
  constructor(settings: ProgramSettings, env: Record<string, string>, connection: Connection, clock: Clock) {
    this.#settings = settings;
    this.#connection = connection;
    this.#clock = clock;
    this.#deadline = new Deadline(clock, () => this.#expired());
    try {
      this.#child = spawn(settings.file, settings.args, {
        argv0: settings.name,
        cwd: settings.folder,
        env,
        // A group of its own: it is ended as a whole, and a Ctrl-C at the terminal is the server's alone.
        detached: process.platform !== 'win32',
        stdio: ['pipe', 'pipe', 'inherit'],
        windowsHide: true,
      });
    } catch (error) {
      throw notStarted(settings.file, error, connection);
    }
    this.#started = new Promise((resolve, reject) => {
      this.#child.once('spawn', resolve);
      this.#child.on('error', (error) => reject(notStarted(settings.file, error, connection)));
    });
    this.#child.once('exit', (code, signal) => this.#onExit(code, signal));
  }

  /** Its process id, which is its group's too. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it has ended and was waited for, so that its number is anybody's. */
  get exited(): boolean {
    return this.#exited;
  }

  /** Resolves when the program has ended, its output is with the kernel, and nothing is left that has to end. Call it once. */
  async over(): Promise<void> {
    const child = this.#child;
    const connection = this.#connection;
    try {
      await this.#started;
    } catch (error) {
      // Without descriptors there are no pipes either.
      (child.stdin as Writable | undefined)?.destroy();
      (child.stdout as Readable | undefined)?.destroy();
      throw error;
    }
    const forget = abandonAtExit(this);
    // A program may work for its client without a byte in either direction.
    connection.busy = true;
    const { draining } = connection;
    const onDrain = (): void => this.#drain();
    if (draining.aborted) onDrain();
    else draining.addEventListener('abort', onDrain, { once: true });
    void connection.closed.then((reason) => this.#connectionOver(reason));
    try {
      void this.#feed();
      await Promise.all([this.#carry(), this.#exit.promise]);
      this.#deadline.disarm();
      if (this.#stage === 'asked' || this.#stage === 'killed') await this.#sweep();
    } finally {
      this.#deadline.disarm();
      draining.removeEventListener('abort', onDrain);
      connection.busy = false;
      forget();
    }
  }

  /** The process ends: what can still be done for this one. */
  abandon(): void {
    signalGroup(this, this.#stage === 'running' || this.#stage === 'told' ? 'SIGTERM' : 'SIGKILL');
  }

  /** From the client to the program. */
  async #feed(): Promise<void> {
    const { stdin } = this.#child;
    const connection = this.#connection;
    const wake = (): void => {
      this.#room?.();
      this.#room = null;
    };
    // EPIPE: it takes no more input, which its 'close' tells as well.
    stdin.on('error', () => {});
    stdin.on('drain', wake);
    stdin.on('close', () => {
      wake();
      // What still comes is let go, so that the client's end, or its reset, is seen.
      connection.closeRead();
    });
    try {
      for (let bytes = await connection.read(); bytes !== null && stdin.writable; bytes = await connection.read()) {
        if (stdin.write(bytes)) continue;
        await new Promise<void>((resolve) => {
          this.#room = resolve;
        });
      }
      stdin.end();
    } catch {
      // The connection is over, which is seen to where that is told.
    }
  }

  /** From the program to the client. */
  async #carry(): Promise<void> {
    const { stdout } = this.#child;
    const connection = this.#connection;
    try {
      for await (const chunk of stdout as AsyncIterable<Uint8Array>) {
        this.#deadline.disarm();
        this.#writing = true;
        await connection.write(chunk);
        this.#writing = false;
        this.#watchSilence();
      }
      // First flushed, then ended: an end while the input is closed too would give a slow client the linger time only.
      await connection.flushed();
      await connection.closeWrite();
    } catch {
      // The connection is over, which is seen to where that is told; or the output broke off, which is one way to end.
    }
    this.#outputOver = true;
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#exited = true;
    if (this.#stage === 'running') {
      if (signal !== null) this.#tell({ kind: 'crashed', pid: this.pid, signal });
      else if (code !== null && code !== 0) this.#tell({ kind: 'failed', pid: this.pid, code });
    }
    this.#watchSilence();
    this.#exit.resolve();
  }

  /** After its end somebody may keep the output open; who writes nothing has a limit, a client that is slow to take it has none here. */
  #watchSilence(): void {
    if (!this.#exited || this.#outputOver || this.#writing) return;
    if (this.#stage === 'running' || this.#stage === 'told') this.#deadline.arm(this.#settings.killAfter);
  }

  #connectionOver(reason: CloseReason): void {
    const { stdin, stdout } = this.#child;
    if (reason.kind === 'ended' || reason.kind === 'closed') {
      stdin.end();
      if (!this.#exited) this.#deadline.arm(this.#settings.killAfter);
      return;
    }
    stdin.destroy();
    stdout.destroy();
    if (!this.#exited || !this.#outputOver) this.#ask();
  }

  #drain(): void {
    switch (this.#settings.onDrain) {
      case 'wait':
        return;
      case 'end-input':
        this.#connection.closeRead();
        return;
      case 'terminate':
        if (this.#stage !== 'running') return;
        this.#stage = 'told';
        this.#signal('SIGTERM');
    }
  }

  #ask(): void {
    if (this.#stage === 'asked' || this.#stage === 'killed') return;
    this.#stage = 'asked';
    this.#signal('SIGTERM');
    this.#deadline.arm(this.#settings.killAfter);
  }

  #expired(): void {
    const { killAfter: after } = this.#settings;
    if (this.#stage !== 'asked') {
      this.#tell({ kind: this.#exited ? 'left-open' : 'outlived', pid: this.pid, after });
      this.#ask();
      return;
    }
    this.#stage = 'killed';
    if (!this.#exited) this.#tell({ kind: 'killed', pid: this.pid, after });
    this.#signal('SIGKILL');
    // Who left the group may have them open still.
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
  }

  /** Waits for the rest of the group, which SIGTERM has reached as well, and kills what does not go. */
  async #sweep(): Promise<void> {
    const until = this.#clock.now() + (this.#stage === 'killed' ? 0 : this.#settings.killAfter);
    for (let pause = 5; exists(this); pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      const left = until - this.#clock.now();
      if (left <= 0) return this.#signal('SIGKILL');
      await new Promise<void>((resolve) => {
        this.#clock.after(Math.min(pause, left), resolve);
      });
    }
  }

  #signal(signal: NodeJS.Signals): void {
    const error = signalGroup(this, signal);
    if (error !== null) this.#tell({ kind: 'out-of-reach', pid: this.pid, error });
  }

  #tell(notice: ProgramNotice): void {
    this.#settings.onNotice?.(notice, this.#connection);
  }
}

/** Nobody is told of the end of a process that is not one's child, so it is looked for. */
const LONGEST_PAUSE = 1_000;

function notStarted(file: string, cause: unknown, connection: Connection): PortsideError {
  const code = systemCode(cause) ?? 'UNKNOWN';
  return new PortsideError(code, `${file} can't be started: ${reasons[code] ?? `the system says ${code}`}`, {
    op: 'exec',
    remote: formatAddress(connection.remote),
    cause,
  });
}

const reasons: Readonly<Record<string, string>> = {
  EAGAIN: 'the limit of processes is reached; raise it, or allow fewer connections at a time',
  EMFILE: 'the limit of open files of this process is reached; raise it, or allow fewer connections at a time',
  ENFILE: 'the limit of open files of the system is reached',
  ENOMEM: 'the system has no memory for another process',
  ENOENT: 'the file, its interpreter or the directory that it should run in is gone',
  EACCES: 'this user may not execute it',
  E2BIG: 'its arguments and environment are longer than the system takes',
};

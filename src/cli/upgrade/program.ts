import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { systemClock } from '../../sync/clock.ts';
import type { FromProgram, SocketRequest, Start, ToProgram } from './protocol.ts';
import { VARIABLE, isMessage } from './protocol.ts';
import type { Passed } from './kept-sockets.ts';

/** How a program ended, or why it could not be started. */
export type End =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'unstarted'; readonly error: Error };

/** What came of a program that was started. */
export type Beginning =
  | { readonly kind: 'ready' }
  /** It has ended, or soon will, because it lacks sockets. */
  | { readonly kind: 'lacks' }
  | { readonly kind: 'ended'; readonly end: End }
  | { readonly kind: 'late' };

/** Who hears of a program that serves. */
export interface ProgramHost {
  heard(program: Program, message: FromProgram): void;
  ended(program: Program, end: End): void;
}

/** How a program is started. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Every so many milliseconds it has to say that it lives; null: nobody wants to know. */
  readonly beat: number | null;
}

/** Milliseconds from SIGTERM to SIGKILL. */
const KILL_AFTER = 5_000;
/** Characters of what it said that are kept. */
const MOST_SAID = 2_000;

/** One program below the supervisor, from its start to its end. */
export class Program {
  /** All sockets that it needs, once it has said so. */
  wants: readonly SocketRequest[] | null = null;
  /** It writes nothing but JSON lines to standard error. */
  json = false;
  /** What it serves and where, once it does; null before. */
  told: string | null = null;
  /** What it told the user while it was not ready; the end of it. */
  said = '';
  /** It was told to go, here or elsewhere. */
  leaving = false;
  readonly ended: Promise<End>;
  end: End | null = null;
  readonly #child: ChildProcess;
  readonly #host: ProgramHost;
  #lacks = false;
  #left = false;
  #news: (() => void) | null = null;

  constructor({ command, args, cwd, env, beat }: Launch, { fds, told }: Passed, host: ProgramHost) {
    this.#host = host;
    const start: Start = { version: 1, sockets: told, beat };
    // In a session of its own, so that a terminal's signals come to the supervisor alone.
    this.#child = spawn(command, args, {
      cwd,
      env: { ...env, [VARIABLE]: JSON.stringify(start) },
      stdio: ['inherit', 'inherit', 'inherit', 'ipc', ...fds],
      detached: true,
    });
    this.ended = new Promise((resolve) => {
      const over = (end: End): void => {
        if (this.end !== null) return;
        this.end = end;
        resolve(end);
        this.#news?.();
        host.ended(this, end);
      };
      this.#child.on('error', (error) => {
        if (this.#child.pid === undefined) over({ kind: 'unstarted', error });
      });
      this.#child.on('exit', (code, signal) =>
        over(signal === null ? { kind: 'exit', code: code ?? 0 } : { kind: 'signal', signal }),
      );
    });
    this.#child.on('message', (message) => this.#hear(message));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits until it is ready, or will not be; for `within` milliseconds. Call it once. */
  async begun(within: number): Promise<Beginning> {
    let late = false;
    const timer = systemClock.after(within, () => this.#wake(() => (late = true)));
    try {
      for (;;) {
        if (this.told !== null) return { kind: 'ready' };
        if (this.#lacks) return { kind: 'lacks' };
        if (this.end !== null) return { kind: 'ended', end: this.end };
        if (late) return { kind: 'late' };
        await new Promise<void>((resolve) => {
          this.#news = resolve;
        });
      }
    } finally {
      timer.cancel();
      this.#news = null;
    }
  }

  /** Has it take nobody any more; waits until that is so, or `within` milliseconds. */
  async leave(within: number): Promise<void> {
    this.leaving = true;
    this.tell({ portside: 'leave' });
    let late = false;
    const timer = setTimeout(() => this.#wake(() => (late = true)), within);
    while (!this.#left && !late && this.end === null)
      await new Promise<void>((resolve) => {
        this.#news = resolve;
      });
    clearTimeout(timer);
  }

  tell(message: ToProgram): void {
    // Whoever is gone is not told; that it is gone is heard of by itself.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  signal(signal: NodeJS.Signals): void {
    if (this.end === null) this.#child.kill(signal);
  }

  /** Ends it, and waits for that. */
  async kill(): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), KILL_AFTER);
    await this.ended;
    clearTimeout(timer);
  }

  #wake(change: () => void): void {
    change();
    this.#news?.();
  }

  #hear(message: unknown): void {
    if (!isMessage(message)) return;
    const heard = message as FromProgram;
    if (heard.portside === 'wants') {
      this.wants = heard.sockets;
      this.json = heard.json === true;
      if (!heard.complete) this.#wake(() => (this.#lacks = true));
    } else if (heard.portside === 'said') this.said = (this.said + heard.text).slice(-MOST_SAID);
    else if (heard.portside === 'left') this.#wake(() => (this.#left = true));
    else if (heard.portside === 'ready') this.#wake(() => (this.told = heard.told));
    else if (heard.portside === 'leaving') this.leaving = true;
    this.#host.heard(this, heard);
  }
}

/** `exit code 1`, `SIGKILL`, `spawn ENOENT` */
export function endText(end: End): string {
  switch (end.kind) {
    case 'exit':
      return `exit code ${end.code}`;
    case 'signal':
      return end.signal;
    case 'unstarted':
      return end.error.message;
  }
}

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** Messages that wait to be sent, at most; of what is left out, only the newest counts. */
const MOST_WAITING = 16;
/** Milliseconds that one may take: systemd that is busy answers late. */
const PATIENCE = 10_000;
/** Milliseconds of the longest timer that Node has. */
const LONGEST_TIMER = 2_147_483_647;

/** What is told where there is nobody to tell it by. */
export type Missing = (why: string) => void;

/**
 * Tells the service manager how this process does, by the protocol of sd_notify(3). Node has no datagram sockets of the kind, so systemd's own program `systemd-notify` sends
 * them; the unit needs NotifyAccess=all.
 */
export class Notifier {
  /** Milliseconds after which it has to be {@link Notifier.alive} again, half of what the service manager waits; null: nobody wants to know. */
  readonly beat: number | null;
  readonly #socket: string;
  readonly #missing: Missing;
  readonly #waiting: string[][] = [];
  #sending = false;
  readonly #idle: (() => void)[] = [];
  #told = false;

  /**
   * By NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_notify(3), sd_watchdog_enabled(3)), which are taken out of the environment, as programs that this one starts have no say. Null
   * where nobody wants to be told. `missing` hears once when nothing can be sent.
   */
  static take(env: NodeJS.ProcessEnv, missing: Missing, pid: number = process.pid): Notifier | null {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: whose } = env;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(env, name);
    if (socket === undefined || socket === '') return null;
    const ours = whose === undefined || Number(whose) === pid;
    const watched = ours && /^[1-9]\d{0,15}$/u.test(usec ?? '');
    const beat = watched ? Math.min(LONGEST_TIMER, Math.max(1, Math.floor(Number(usec) / 2_000))) : null;
    return new Notifier(socket, beat, missing);
  }

  private constructor(socket: string, beat: number | null, missing: Missing) {
    this.#socket = socket;
    this.beat = beat;
    this.#missing = missing;
  }

  /** Serving; `status` is what `systemctl status` shows. */
  ready(status: string): void {
    this.#send(['READY=1', `STATUS=${oneLine(status)}`]);
  }

  /** Taking up new code or certificates; followed by {@link Notifier.ready}. */
  reloading(status: string): void {
    // CLOCK_MONOTONIC, as it is asked for.
    const now = process.hrtime.bigint() / 1_000n;
    this.#send(['RELOADING=1', `MONOTONIC_USEC=${now}`, `STATUS=${oneLine(status)}`]);
  }

  stopping(status: string): void {
    this.#send(['STOPPING=1', `STATUS=${oneLine(status)}`]);
  }

  alive(): void {
    this.#send(['WATCHDOG=1']);
  }

  /** Resolves when what was told so far is sent. */
  async flushed(): Promise<void> {
    if (!this.#sending) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #send(words: string[]): void {
    if (this.#waiting.length >= MOST_WAITING) this.#waiting.shift();
    this.#waiting.push(words);
    if (!this.#sending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    for (let words = this.#waiting.shift(); words !== undefined; words = this.#waiting.shift()) {
      const failure = await sent(this.#socket, words);
      if (failure === null || this.#told) continue;
      this.#told = true;
      this.#missing(failure);
    }
    this.#sending = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** Null when it was sent, else why not. */
function sent(socket: string, words: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = spawn('systemd-notify', [...words], {
        env: { PATH: process.env['PATH'], NOTIFY_SOCKET: socket },
        stdio: 'ignore',
        timeout: PATIENCE,
        killSignal: 'SIGKILL',
      });
    } catch (error) {
      // ENOMEM and the like, which Node throws. Those who are served have nothing to do with it.
      resolve(error instanceof Error ? error.message : String(error));
      return;
    }
    child.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ENOENT' ? 'there is no systemd-notify here' : error.message),
    );
    child.on('exit', (code, signal) =>
      resolve(code === 0 ? null : `systemd-notify ended by ${code === null ? String(signal) : `exit code ${code}`}`),
    );
  });
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/gu, ' ').slice(0, 500);
}

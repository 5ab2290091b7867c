import { constants } from 'node:os';
import { formatDuration } from '../durations.ts';
import { hasTerminal } from '../hang-up.ts';
import type { CommandIo } from '../io.ts';
import { Notifier } from '../systemd/notifier.ts';
import { Backoff } from './backoff.ts';
import { guessFrom } from './guess.ts';
import type { Guess } from './guess.ts';
import { KeptSockets } from './kept-sockets.ts';
import { launchOf } from './launch.ts';
import { Program, endText } from './program.ts';
import type { End, Launch } from './program.ts';
import type { FromProgram, SocketRequest, UpgradeResult } from './protocol.ts';
import { Voice, lastSaid } from './voice.ts';

/** Programs that drain after upgrades, at a time. */
const MOST_LEAVING = 8;
/** Milliseconds that the old program may take to accept no more. */
const LEAVE = 5_000;
/** How often a program is started again because it lacks sockets. */
const MOST_TRIES = 3;

/** What it comes to when it could not even start a program. */
const FAILED: End = { kind: 'exit', code: 1 };
/** And when it was ended while there was none. */
const STOPPED: End = { kind: 'exit', code: 0 };
const STOPPING = 'it is being stopped';

/** Signals by which others end programs. */
const PASSED_ON: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'];

type Launched =
  | { readonly ok: true; readonly program: Program }
  | { readonly ok: false; readonly end: End; readonly why: string };

/**
 * Keeps the listening sockets, and one program below it that serves; the program is exchanged for a new version of it without a client being refused or reset. It loads nothing of
 * the user's. Resolves with the exit code.
 */
export async function supervise(args: readonly string[], io: CommandIo): Promise<number> {
  if (process.platform === 'win32') {
    io.err('portside: --upgradable needs processes that are started with sockets, which Windows has not\n');
    return 1;
  }
  return new Supervisor(guessFrom(args, process.env), io).run();
}

class Supervisor {
  readonly #voice: Voice;
  readonly #timeout: number;
  readonly #guess: readonly SocketRequest[];
  readonly #sockets = new KeptSockets();
  readonly #launch: Launch;
  readonly #notifier: Notifier | null;
  readonly #backoff = new Backoff();
  readonly #over = Promise.withResolvers<End>();
  /** The one that serves. */
  #current: Program | null = null;
  /** The one that is to serve next. */
  #next: Program | null = null;
  readonly #leaving = new Set<Program>();
  #upgrading = false;
  /** A signal has ended it. */
  #ending = false;
  /** How the last one ended that died. */
  #died: End | null = null;
  #restart: NodeJS.Timeout | null = null;

  constructor({ timeout, json, sockets }: Guess, io: CommandIo) {
    this.#voice = new Voice(io, json);
    this.#timeout = timeout;
    this.#guess = sockets;
    this.#notifier = Notifier.take(process.env, (why) =>
      this.#warn(`NOTIFY_SOCKET is set, and the service manager can't be told: ${why}`),
    );
    this.#launch = launchOf(this.#notifier?.beat ?? null);
  }

  async run(): Promise<number> {
    const offSignals = this.#onSignals();
    const { beat } = this.#launch;
    // While nobody serves, there is nobody else to say so.
    const beating = beat === null ? undefined : setInterval(() => this.#current ?? this.#notifier?.alive(), beat);
    const end = await this.#untilOver();
    clearInterval(beating);
    this.#sockets.close();
    await this.#notifier?.flushed();
    offSignals();
    return codeOf(end);
  }

  async #untilOver(): Promise<End> {
    try {
      await this.#sockets.open(this.#guess);
    } catch (error) {
      this.#warn(messageOf(error));
      return FAILED;
    }
    const first = await this.#begin(Infinity);
    if (!first.ok) {
      if (first.end.kind === 'unstarted') this.#warn(`the program could not be started: ${first.why}`);
      return first.end;
    }
    this.#serveBy(first.program);
    this.#voice.say(`upgrade with: kill -USR2 ${process.pid}`);
    const end = await this.#over.promise;
    // Nobody is left who would serve those that come.
    this.#sockets.release();
    const others = [...this.#leaving, ...(this.#next === null ? [] : [this.#next])];
    await Promise.all(others.map(({ ended }) => ended));
    return end;
  }

  // ---- programs ----

  /** Starts a program, and again with the sockets that it lacked; waits until it is ready. */
  async #begin(within: number): Promise<Launched> {
    try {
      return await this.#tryAll(within);
    } catch (error) {
      // Without descriptors or memory nothing can be started.
      this.#next = null;
      return { ok: false, end: FAILED, why: messageOf(error) };
    }
  }

  async #tryAll(within: number): Promise<Launched> {
    const until = performance.now() + within;
    for (let tries = 1; ; tries += 1) {
      if (this.#stopping) return { ok: false, end: STOPPED, why: STOPPING };
      const program = new Program(this.#launch, this.#sockets.passed(), this);
      this.#next = program;
      const begun = await program.begun(Math.max(0, until - performance.now()));
      if (begun.kind === 'ready') {
        // It may have ended in the same moment.
        if (program.end === null) return { ok: true, program };
        return this.#unbegun(program, program.end, endText(program.end));
      }
      if (begun.kind === 'late') {
        await program.kill();
        return this.#unbegun(program, program.end!, `it was not ready within ${formatDuration(within)}`);
      }
      const end = await program.ended;
      if (begun.kind === 'ended' || this.#ending || tries === MOST_TRIES)
        return this.#unbegun(program, end, endText(end));
      try {
        await this.#sockets.open(program.wants ?? []);
      } catch (error) {
        const why = messageOf(error);
        this.#warn(why);
        return this.#unbegun(program, FAILED, why);
      }
    }
  }

  #unbegun(program: Program, end: End, why: string): Launched {
    this.#next = null;
    const said = lastSaid(program.said);
    return { ok: false, end, why: said === '' ? why : `${why}: ${said}` };
  }

  #serveBy(program: Program): void {
    this.#next = null;
    this.#current = program;
    this.#voice.json = program.json;
    this.#sockets.keepOnly(program.wants ?? []);
    this.#backoff.serves();
    if (program.leaving) this.#comesToItsEnd();
    else if (this.#ending) program.signal('SIGTERM');
    else this.#tellReady();
  }

  /** The program that serves was told to. As soon as it listens no more, clients are refused. */
  #comesToItsEnd(): void {
    if (!this.#ending) this.#notifier?.stopping('stopping');
    this.#sockets.release();
  }

  /** Whether its end has begun: by a signal, or within the program that serves. */
  get #stopping(): boolean {
    return this.#ending || this.#current?.leaving === true;
  }

  #tellReady(): void {
    this.#notifier?.ready(this.#current?.told ?? '');
  }

  heard(program: Program, message: FromProgram): void {
    if (program !== this.#current) return;
    if (message.portside === 'ready') {
      // The end of an upgrade is told when it has come.
      if (!this.#upgrading) this.#tellReady();
    } else if (message.portside === 'alive') this.#notifier?.alive();
    else if (message.portside === 'reloading') this.#notifier?.reloading('reloading');
    else if (message.portside === 'leaving') this.#comesToItsEnd();
    else if (message.portside === 'upgrade')
      void this.#upgrade(`asked for by process ${program.pid}`).then((result) =>
        program.tell({ portside: 'upgraded', id: message.id, result }),
      );
  }

  ended(program: Program, end: End): void {
    this.#leaving.delete(program);
    if (program !== this.#current) return;
    this.#current = null;
    // Whatever it was doing, even ending: a server that was to go for good says so by its exit code.
    if (this.#ending || (end.kind === 'exit' && end.code === 0)) {
      // By a signal, the next one has heard of it.
      if (!this.#ending) this.#next?.signal('SIGTERM');
      this.#ending = true;
      this.#over.resolve(end);
      return;
    }
    this.#warn(`process ${program.pid} has died (${endText(end)}); clients wait at its sockets`);
    this.#died = end;
    // During an upgrade the next one is on its way.
    if (!this.#upgrading) this.#startAgain(end);
  }

  #startAgain(end: End): void {
    if (this.#ending) {
      this.#over.resolve(STOPPED);
      return;
    }
    const pause = this.#backoff.pause();
    if (pause === null) {
      this.#warn('it dies again and again, and is not started any more');
      this.#over.resolve(end);
      return;
    }
    this.#restart = setTimeout(() => {
      this.#restart = null;
      void this.#begin(this.#timeout).then((again) => {
        if (again.ok) this.#serveBy(again.program);
        else if (this.#ending) this.#over.resolve(again.end);
        else {
          this.#warn(`it could not be started again: ${again.why}`);
          this.#startAgain(again.end);
        }
      });
    }, pause);
  }

  // ---- upgrades ----

  async #upgrade(asked: string): Promise<UpgradeResult> {
    const before = this.#current;
    const busy = this.#busy();
    if (busy !== null || before === null) {
      const why = busy ?? 'nobody serves that could be replaced';
      this.#warn(`upgrade ${asked}: not now: ${why}`);
      return { ok: false, code: 'ERR_PORTSIDE_STATE', why };
    }
    this.#upgrading = true;
    const result = await this.#exchange(before, asked);
    this.#upgrading = false;
    // The old one may have died meanwhile, or the new one since.
    if (this.#current === null && this.#died !== null) this.#startAgain(this.#died);
    return result;
  }

  async #exchange(before: Program, asked: string): Promise<UpgradeResult> {
    this.#warn(`upgrade ${asked}: starting the new version`);
    this.#notifier?.reloading('upgrading');
    const launched = await this.#begin(this.#timeout);
    if (!launched.ok) {
      this.#warn(`not upgraded: the new version did not start: ${launched.why}`);
      if (this.#current !== null && !this.#stopping) {
        this.#sockets.keepOnly(before.wants ?? []);
        this.#warn(`process ${before.pid} goes on`);
        this.#tellReady();
      }
      return { ok: false, code: 'ERR_PORTSIDE_WORKER', why: `the new version did not start: ${launched.why}` };
    }
    const { program } = launched;
    if (this.#stopping) {
      this.#warn(`not upgraded: ${STOPPING}`);
      this.#next = null;
      this.#leaving.add(program);
      if (!program.leaving) program.signal('SIGTERM');
      return { ok: false, code: 'ERR_PORTSIDE_STATE', why: STOPPING };
    }
    if (before.end === null) this.#leaving.add(before);
    this.#serveBy(program);
    await before.leave(LEAVE);
    this.#warn(`upgraded: process ${program.pid} serves, process ${before.pid} drains`);
    // Whoever asked it is answered first.
    setImmediate(() => before.tell({ portside: 'drain', pid: program.pid }));
    return { ok: true, pid: program.pid, before: before.pid };
  }

  /** Why there can't be an upgrade now. */
  #busy(): string | null {
    if (this.#upgrading) return 'another upgrade is under way';
    if (this.#stopping) return STOPPING;
    if (this.#leaving.size >= MOST_LEAVING)
      return `${this.#leaving.size} programs still drain after earlier upgrades; wait for them, or give them less --grace`;
    return null;
  }

  // ---- signals ----

  #onSignals(): () => void {
    const began = hasTerminal();
    const end = (signal: NodeJS.Signals): void => {
      if (!this.#ending) this.#notifier?.stopping('stopping');
      this.#ending = true;
      if (this.#restart !== null) {
        clearTimeout(this.#restart);
        this.#restart = null;
        this.#over.resolve(STOPPED);
      }
      for (const program of this.#programs()) program.signal(signal);
    };
    const listeners: Partial<Record<NodeJS.Signals, () => void>> = {
      SIGINT: () => end('SIGINT'),
      SIGTERM: () => end('SIGTERM'),
      SIGUSR2: () => void this.#upgrade('by SIGUSR2'),
      SIGHUP: () => {
        // The terminal's end is told to this process alone.
        if (!began || hasTerminal()) {
          this.#current?.signal('SIGHUP');
          return;
        }
        this.#warn('SIGHUP, and the terminal is gone; stopping');
        end('SIGTERM');
      },
    };
    const all = Object.entries(listeners) as [NodeJS.Signals, () => void][];
    for (const [signal, listener] of all) process.on(signal, listener);
    return () => {
      for (const [signal, listener] of all) process.off(signal, listener);
    };
  }

  #programs(): Program[] {
    return [this.#current, this.#next, ...this.#leaving].filter((program) => program !== null);
  }

  #warn(text: string): void {
    this.#voice.warn(text);
  }
}

/** As the program ended, so does this process: a shell tells a signal from an exit code. */
function codeOf(end: End): number {
  if (end.kind === 'exit') return end.code;
  if (end.kind === 'unstarted') return 1;
  // The first process of a container is not ended by its own signals.
  if (PASSED_ON.includes(end.signal)) process.kill(process.pid, end.signal);
  return 128 + constants.signals[end.signal];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

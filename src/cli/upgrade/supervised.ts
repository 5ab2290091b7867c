import type { HandedSockets } from '../../net/handed.ts';
import type { Manager } from './manager.ts';
import { VARIABLE, isMessage } from './protocol.ts';
import type { FromProgram, SocketRequest, Start, ToProgram, UpgradeResult } from './protocol.ts';

/** Characters of one thing that the user was told, at most. */
const MOST_SAID = 2_000;

/** What a program knows of its supervisor. */
export class SupervisedManager implements Manager {
  readonly sockets: readonly HandedSockets[];
  onLeave: (() => void) | null = null;
  onDrain: ((pid: number) => void) | null = null;
  onOrphaned: (() => void) | null = null;
  readonly #asked = new Map<number, (result: UpgradeResult) => void>();
  readonly #beat: NodeJS.Timeout | undefined;
  readonly #listener = (message: unknown): void => this.#hear(message);
  readonly #alone = (): void => this.#orphaned();
  #last: Promise<void> = Promise.resolve();
  #count = 0;
  #serving = false;

  /** By the environment, out of which it is taken. Null where there is no supervisor. */
  static take(env: NodeJS.ProcessEnv): SupervisedManager | null {
    const text = env[VARIABLE];
    Reflect.deleteProperty(env, VARIABLE);
    if (text === undefined || process.send === undefined) return null;
    return new SupervisedManager(JSON.parse(text) as Start);
  }

  private constructor({ sockets, beat }: Start) {
    this.sockets = sockets;
    process.on('message', this.#listener).on('disconnect', this.#alone);
    // It keeps nothing alive that has come to its end.
    process.channel?.unref();
    this.#beat = beat === null ? undefined : setInterval(() => void this.#send({ portside: 'alive' }), beat);
    this.#beat?.unref();
  }

  /** Says which sockets are needed; resolves when all are there, and ends the process when they are not. */
  async want(sockets: readonly SocketRequest[], json: boolean): Promise<void> {
    const there = this.sockets.map(({ key }) => key);
    const complete = sockets.every(({ key }) => {
      const at = there.indexOf(key);
      if (at !== -1) there.splice(at, 1);
      return at !== -1;
    });
    await this.#send({ portside: 'wants', sockets, complete, json });
    // oxlint-disable-next-line unicorn/no-process-exit -- nothing has begun
    if (!complete) process.exit(0);
  }

  /** What the user is told while it is not ready. */
  said(text: string): void {
    if (!this.#serving) void this.#send({ portside: 'said', text: text.slice(0, MOST_SAID) });
  }

  ready(told: string): void {
    this.#serving = true;
    void this.#send({ portside: 'ready', told });
  }

  reloading(): void {
    void this.#send({ portside: 'reloading' });
  }

  stopping(broken: boolean): void {
    // Clients wait for the one that is started in its place, at sockets that the supervisor keeps.
    if (!broken) void this.#send({ portside: 'leaving' });
  }

  readonly upgrade = (): Promise<UpgradeResult> => {
    this.#count += 1;
    const id = this.#count;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      void this.#send({ portside: 'upgrade', id });
    });
  };

  async close(): Promise<void> {
    clearInterval(this.#beat);
    process.off('message', this.#listener).off('disconnect', this.#alone);
    await this.#last;
    if (process.connected) process.disconnect();
  }

  #hear(message: unknown): void {
    if (!isMessage(message)) return;
    const heard = message as ToProgram;
    if (heard.portside === 'leave') {
      this.onLeave?.();
      void this.#send({ portside: 'left' });
    } else if (heard.portside === 'drain') this.onDrain?.(heard.pid);
    else if (heard.portside === 'upgraded') {
      this.#asked.get(heard.id)?.(heard.result);
      this.#asked.delete(heard.id);
    }
  }

  #orphaned(): void {
    for (const answer of this.#asked.values())
      answer({ ok: false, code: 'ERR_PORTSIDE_STATE', why: 'the supervisor has died' });
    this.#asked.clear();
    // Nobody could ever end what nobody has heard of.
    // oxlint-disable-next-line unicorn/no-process-exit -- a module that is being loaded can't be called off
    if (!this.#serving) process.exit(1);
    this.onOrphaned?.();
  }

  /** Resolves when it is with the system, or can't be. */
  #send(message: FromProgram): Promise<void> {
    this.#last = new Promise((resolve) => {
      if (process.connected && process.send !== undefined) process.send(message, undefined, {}, () => resolve());
      else resolve();
    });
    return this.#last;
  }
}

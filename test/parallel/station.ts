import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Switchboard } from '../../src/parallel/switchboard.ts';
import type { MemberEvent, Peer } from '../../src/parallel/worker-channel.ts';
import type { MemberData, Order, Told } from './workers/channel-member.ts';

const file = new URL('./workers/channel-member.ts', import.meta.url);

/** What one heard on a channel. */
export interface Heard {
  readonly value: unknown;
  readonly from: Peer;
}

/** A worker of a switchboard, as the test commands and hears it. */
export class Station {
  readonly index: number;
  readonly worker: Worker;
  readonly events: MemberEvent[] = [];
  /** Everything in the order in which it came: `joined 1`, `gone 1`, `room from 1`. */
  readonly log: string[] = [];
  readonly errors: unknown[] = [];
  readonly #switchboard: Switchboard;
  readonly #heard = new Map<string, Heard[]>();
  readonly #waiting = new Set<() => void>();
  readonly #answers: ((result: unknown) => void)[] = [];
  readonly exit: Promise<void>;
  ready = false;
  ended = false;

  constructor(switchboard: Switchboard, index: number, channels: readonly string[]) {
    this.#switchboard = switchboard;
    this.index = index;
    const { ticket, transfer } = switchboard.join(index);
    const workerData: MemberData = { ticket, channels };
    this.worker = new Worker(file, { workerData, transferList: transfer, execArgv: ['--no-warnings'] });
    this.worker.on('message', (told: Told) => this.#told(told));
    this.worker.on('error', (error) => this.errors.push(error));
    this.exit = new Promise((resolve) => {
      this.worker.on('exit', () => {
        this.ended = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** What it heard on a channel. */
  heard(channel: string): readonly Heard[] {
    return this.#heard.get(channel) ?? [];
  }

  /** The values that it heard on a channel. */
  values(channel: string): readonly unknown[] {
    return this.heard(channel).map(({ value }) => value);
  }

  do(order: Order): Promise<unknown> {
    const answer = new Promise<unknown>((resolve) => {
      this.#answers.push(resolve);
    });
    this.worker.postMessage(order);
    return answer;
  }

  /** Waits until something holds, which it looks at whenever the worker tells something. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.ended) throw new Error(`worker ${this.index} has ended: ${this.errors.map(String).join()}`);
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  /** Until it heard so many messages on a channel. */
  untilHeard(channel: string, count: number): Promise<void> {
    return this.until(() => this.heard(channel).length >= count);
  }

  untilEvents(count: number): Promise<void> {
    return this.until(() => this.events.length >= count);
  }

  /** Waits for its end, and lets it leave as a parallel listener does. */
  async end(how: 'terminate' | 'wait' = 'terminate'): Promise<void> {
    if (how === 'terminate') await this.worker.terminate();
    await this.exit;
    this.#switchboard.leave(this.index);
  }

  #told(told: Told): void {
    if (told.kind === 'ready') this.ready = true;
    else if (told.kind === 'done') this.#answers.shift()?.(told.result);
    else if (told.kind === 'member') {
      this.events.push(told.event);
      this.log.push(`${told.event.kind} ${told.event.worker}`);
    } else {
      const { channel, value, from } = told;
      const all = this.#heard.get(channel);
      if (all === undefined) this.#heard.set(channel, [{ value, from }]);
      else all.push({ value, from });
      this.log.push(`${channel} from ${from.parent ? 'parent' : from.worker}`);
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** Waits until a worker is a member for the parent. */
async function untilMember(switchboard: Switchboard, index: number): Promise<void> {
  const channel = switchboard.channel('members');
  if (channel.members.includes(index)) return;
  await new Promise<void>((resolve) => {
    const off = channel.onMember(({ kind, worker }) => {
      if (kind !== 'joined' || worker !== index) return;
      off();
      resolve();
    });
  });
}

/** A switchboard, and workers that are members of it and know of each other. */
export class Network {
  readonly switchboard: Switchboard;
  readonly stations: Station[] = [];
  readonly #channels: readonly string[];

  constructor(t: TestContext, options?: { limit?: number; channels?: readonly string[] }) {
    const limit = options?.limit;
    this.switchboard = new Switchboard(limit === undefined ? undefined : { limit });
    this.#channels = options?.channels ?? ['room'];
    t.after(async () => {
      for (const { worker } of this.stations) await worker.terminate();
      this.switchboard.close();
    });
  }

  /** Starts workers at once, and waits until each has heard of all others, and the parent of them. */
  async start(...indexes: readonly number[]): Promise<Station[]> {
    const started = indexes.map((index) => this.boot(index));
    const others = this.stations.filter((station) => !started.includes(station) && !station.ended);
    const known = others.map(({ events }) => events.length);
    await Promise.all(started.map((station) => station.until(() => station.ready)));
    await Promise.all(started.map((station) => station.do({ kind: 'open' })));
    await Promise.all(indexes.map((index) => untilMember(this.switchboard, index)));
    await Promise.all(started.map((station) => station.untilEvents(others.length + started.length - 1)));
    await Promise.all(others.map((station, i) => station.untilEvents((known[i] as number) + started.length)));
    return started;
  }

  /** Starts one that is no member yet. */
  boot(index: number): Station {
    const station = new Station(this.switchboard, index, this.#channels);
    this.stations.push(station);
    return station;
  }
}

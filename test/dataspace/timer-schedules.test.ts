import assert from 'node:assert/strict';
import { timerDriver } from '../../src/dataspace/drivers/timer-driver.ts';
import { timerRelay } from '../../src/dataspace/drivers/timer-relay.ts';
import { cancelTimer, setTimer, timerExpired } from '../../src/dataspace/drivers/timer-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { ActorId } from '../../src/dataspace/endpoint.ts';
import type { Boot, OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { testSchedules } from '../support/schedules.ts';
import type { Played } from '../support/schedules.ts';

const WALL = 1_000_000;
/** How long it may take until a jump of the wall clock is noticed, as is promised. */
const LOOK = 10_000;
const LABELS = 5;
const TIMES = [-20, -1, 0, 0.25, 1, 1, 2.5, 10, 10, 40, 1_000, 12_000, 30_000];
const WAITS = [0, 0.25, 1, 5, 10, 10, 500, 9_999, 10_000, 35_000];
const JUMPS = [-50_000, -30_000, -1_000, -1, 1, 10, 12_000, 100_000];

/** A timer as the test knows it. */
interface Timer {
  readonly number: number;
  readonly label: number;
  readonly kind: 'relative' | 'absolute';
  /** By `now()` or by `wall()`. */
  readonly due: number;
  /** Since when, by `now()`, the clock has shown its time without going back; null where it does not. */
  ripe: number | null;
}

/** A client of the driver: on the ground or in a nested space. */
interface Client {
  readonly nested: boolean;
  readonly self: Self;
  readonly source: OutsideSource;
  pending: Timer[];
  space: ActorId;
}

/** Timers that are set, cancelled and followed by what they promise, while the wall clock jumps. */
class Schedule implements Played {
  readonly trace: string[] = [];
  readonly outcomes: string[] = [];
  readonly #clock = new VirtualClock({ wall: WALL });
  readonly #random: Random;
  readonly #clients: Client[] = [];
  /** Those that expired in the present batch, and how long overdue each of them was. */
  #batch: { readonly number: number; readonly late: number; readonly now: number }[] = [];
  #space!: Dataspace;
  #count = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  async run(): Promise<void> {
    const scope = new Scope({ clock: this.#clock, parent: null });
    this.#space = scope.run(() => new Dataspace({ burst: 1 + this.#random.int(4), slice: 1 + this.#random.int(8) }));
    this.#space.spawn(timerDriver());
    this.#space.spawn((self) => this.#enlist(self, false, 0));
    this.#space.spawn((self) => {
      for (let i = 0; i < 2; i++) {
        const boot: Boot = (inner) => {
          inner.spawn(timerRelay());
          inner.spawn((one) => this.#enlist(one, true, space));
        };
        const space = self.spawnSpace(boot);
      }
    });
    const done = scope.run(() => this.#space.run());
    await this.#clock.settle();
    assert.equal(this.#clients.length, 3);
    for (let step = 0; step < 25; step++) {
      await this.#step();
      this.#check();
    }
    await this.#finish();
    let over = false;
    void done.then(() => {
      over = true;
    });
    await this.#clock.settle();
    assert.ok(over, 'the space goes on though nothing is pending');
    assert.deepEqual(await done, { state: 'idle', failed: 0, failures: [] });
    assert.equal(this.#clock.armed, 0);
    this.#space.end();
    await scope.close();
  }

  /** Either all that is pending is waited for, or whoever has set it goes, which takes back what a nested space has set. */
  async #finish(): Promise<void> {
    for (const client of this.#clients) {
      if (client.nested && this.#random.int(2) === 0) {
        if (client.pending.length > 0) this.outcomes.push('nested space gone with timers pending');
        client.pending = [];
        const id = client.space;
        this.#space.spawn((self) => self.quit(id, 'over'));
      } else client.source.release();
    }
    await this.#clock.settle();
    const left = this.#clients.flatMap(({ pending }) => pending);
    const last = Math.max(0, ...left.map((timer) => timer.due - this.#read(timer)));
    await this.#clock.advance(last + LOOK);
    assert.deepEqual(
      this.#clients.flatMap(({ pending }) => pending),
      [],
      'some have never expired',
    );
  }

  #enlist(self: Self, nested: boolean, space: ActorId): void {
    const client: Client = { nested, self, source: self.outside(), pending: [], space };
    this.#clients.push(client);
    self.subscribe(timerExpired(_, _), {
      onMessage: ({ topic: { label, at } }) => {
        // Those on the ground hear of the relays' timers too.
        if (typeof label === 'number') this.#expired(client, label, at);
      },
    });
  }

  async #step(): Promise<void> {
    this.#batch = [];
    const dice = this.#random.int(100);
    if (dice < 20) {
      const ms = pick(this.#random, JUMPS);
      this.trace.push(`${this.#clock.now()}: the wall clock jumps by ${ms}`);
      this.#clock.jumpWall(ms);
      this.#ripen();
    } else if (dice < 45) await this.#wait(pick(this.#random, WAITS));
    else await this.#act(pick(this.#random, this.#clients));
  }

  async #act(client: Client): Promise<void> {
    const moves = 1 + this.#random.int(4);
    client.source.enter(() => {
      for (let i = 0; i < moves; i++) {
        const label = this.#random.int(LABELS);
        if (this.#random.int(4) === 0) this.#cancel(client, label);
        else this.#set(client, label);
      }
    });
    await this.#clock.settle();
  }

  #set(client: Client, label: number): void {
    const kind = this.#random.int(2) === 0 ? 'relative' : 'absolute';
    const ms = pick(this.#random, TIMES);
    const { clock } = client.self;
    const given = kind === 'relative' ? ms : clock.wall() + ms;
    const due = (kind === 'relative' ? clock.now() : clock.wall()) + ms;
    this.#count += 1;
    const timer: Timer = { number: this.#count, label, kind, due, ripe: ms <= 0 ? clock.now() : null };
    this.trace.push(`${clock.now()}: ${this.#clients.indexOf(client)} sets ${label}, ${kind} ${ms}`);
    client.pending.push(timer);
    client.self.send(setTimer(label, given, kind));
  }

  #cancel(client: Client, label: number): void {
    const taken = client.pending.filter((timer) => timer.label === label);
    this.trace.push(`${this.#clock.now()}: ${this.#clients.indexOf(client)} cancels ${label}, ${taken.length} pending`);
    if (taken.some(({ ripe }) => ripe !== null)) this.outcomes.push('cancelled when overdue');
    else if (taken.length > 1) this.outcomes.push('several cancelled');
    client.pending = client.pending.filter((timer) => timer.label !== label);
    client.self.send(cancelTimer(label));
  }

  #expired(client: Client, label: number, at: number): void {
    const now = this.#clock.now();
    this.trace.push(`${now}: ${label} expires for ${this.#clients.indexOf(client)}`);
    assert.equal(at, this.#clock.wall());
    // Nothing says which one of a label it is: it is the one that is longest overdue.
    const ripe = client.pending.filter((timer) => timer.label === label && timer.due <= this.#read(timer));
    const [timer] = ripe.toSorted((a, b) => this.#late(b) - this.#late(a) || a.number - b.number);
    assert.ok(timer !== undefined, `${label} expired, and none of that label was due`);
    client.pending = client.pending.filter((one) => one !== timer);
    const late = this.#late(timer);
    this.outcomes.push(`${client.nested ? 'nested' : 'plain'} ${timer.kind}`);
    if (timer.kind === 'relative') assert.ok(late === 0 || timer.ripe === now, `${late} ms late`);
    else if (late > 0 && timer.ripe !== now) this.outcomes.push('late for a jump');
    // What is for a nested space arrives a few turns later than the rest.
    if (client.nested) return;
    const before = this.#batch.at(-1);
    if (before?.now === now) {
      this.outcomes.push('together');
      assert.ok(before.late > late || (before.late === late && before.number < timer.number), 'out of order');
    }
    this.#batch.push({ number: timer.number, late, now });
  }

  /** Moves the time to each moment at which something becomes ripe, so that it is known since when it is. */
  async #wait(ms: number): Promise<void> {
    this.trace.push(`${this.#clock.now()}: waits for ${ms}`);
    const end = this.#clock.now() + ms;
    for (;;) {
      const now = this.#clock.now();
      const waits = this.#all()
        .filter(({ ripe }) => ripe === null)
        .map((timer) => timer.due - this.#read(timer));
      const next = Math.min(end - now, ...waits);
      for (const timer of this.#all()) if (timer.due - this.#read(timer) <= next) timer.ripe ??= now + next;
      this.#batch = [];
      await this.#clock.advance(next);
      this.#check();
      if (now + next >= end) return;
    }
  }

  #ripen(): void {
    const now = this.#clock.now();
    for (const timer of this.#all()) {
      if (timer.due > this.#read(timer)) timer.ripe = null;
      else timer.ripe ??= now;
    }
  }

  #check(): void {
    const now = this.#clock.now();
    for (const timer of this.#all()) {
      const overdue = timer.ripe === null ? -1 : now - timer.ripe;
      const allowed = timer.kind === 'relative' ? 0 : LOOK;
      assert.ok(overdue < allowed, `${timer.kind} ${timer.label} is ${overdue} ms overdue`);
    }
    assert.ok(this.#clock.armed <= 1, 'one timer of the clock is enough');
    if (this.#all().length === 0) assert.equal(this.#clock.armed, 0);
  }

  #all(): Timer[] {
    return this.#clients.flatMap(({ pending }) => pending);
  }

  #read({ kind }: Timer): number {
    return kind === 'relative' ? this.#clock.now() : this.#clock.wall();
  }

  #late(timer: Timer): number {
    return this.#read(timer) - timer.due;
  }
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.int(list.length)] as T;
}

testSchedules((seed) => new Schedule(seed), {
  first: 1,
  count: 3_000,
  again: [1, 2, 30],
  outcomes: [
    'plain relative',
    'plain absolute',
    'nested relative',
    'nested absolute',
    'together',
    'cancelled when overdue',
    'several cancelled',
    'late for a jump',
    'nested space gone with timers pending',
  ],
  enough: 500,
});

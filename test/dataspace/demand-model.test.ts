import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matchDemand } from '../../src/dataspace/demand.ts';
import type { DemandHandle } from '../../src/dataspace/demand.ts';
import type { EndpointHandle } from '../../src/dataspace/endpoint.ts';
import { _, capture } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { publishersOf } from '../../src/dataspace/watch.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

const wants = record('wants', ['what', 'detail']).of<{ what: string; detail: string }>();
const has = record('has', ['what']).of<{ what: string }>();

const THINGS = ['a', 'b'] as const;
type What = (typeof THINGS)[number];
const DELAY = 10;
const MAX_DELAY = 15;
const LIMIT = 2;
const WITHIN = 200;
const START_TIMEOUT = 40;

interface Ask {
  readonly kind: 'demand' | 'supply';
  readonly what: What;
  /** Withdraws one in place of adding one. */
  readonly less: boolean;
}

type Step =
  | { readonly kind: 'asks'; readonly asks: readonly Ask[] }
  | { readonly kind: 'task'; readonly what: What; readonly does: 'supply' | 'withdraw' | 'fail' | 'quit' }
  | { readonly kind: 'time'; readonly ms: number };

const whats = fc.constantFrom(...THINGS);
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('asks' as const),
      asks: fc.array(
        fc.record({
          kind: fc.constantFrom('demand', 'demand', 'supply'),
          what: whats,
          less: fc.boolean(),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('task' as const),
      what: whats,
      does: fc.constantFrom('supply', 'supply', 'withdraw', 'fail', 'quit'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(1, 5, 9, 10, 15, 40, 55, 250) }),
  },
);

/** What ought to be for one thing, worked out from the table in the documentation and from nothing else. */
class Account {
  demand = 0;
  others = 0;
  task: { own: number; up: boolean; readonly since: number } | null = null;
  waitUntil: number | null = null;
  givenUp = false;
  starts = 0;
  #losses: number[] = [];

  get supply(): number {
    return this.others + (this.task?.own ?? 0);
  }

  get state(): string {
    if (this.task !== null) return this.task.up ? 'up' : 'starting';
    if (this.givenUp) return 'given up';
    return this.waitUntil === null ? 'idle' : 'waiting';
  }

  /** The task is no more. */
  lost(now: number): void {
    this.task = null;
    if (this.demand === 0) return;
    this.#losses = [...this.#losses, now].filter((when) => now - when <= WITHIN);
    if (this.#losses.length > LIMIT) this.givenUp = true;
    else this.waitUntil = now + Math.min(MAX_DELAY, DELAY * 2 ** (this.#losses.length - 1));
  }

  follow(now: number): void {
    if (this.demand === 0) {
      this.task = null;
      this.waitUntil = null;
      this.givenUp = false;
      this.#losses = [];
      return;
    }
    if (this.task?.up === true && this.supply === 0) this.lost(now);
    if (this.supply > 0) {
      this.waitUntil = null;
      if (this.task !== null) this.task.up = true;
    } else if (this.task === null && this.waitUntil === null && !this.givenUp) {
      this.task = { own: 0, up: false, since: now };
      this.starts += 1;
    }
  }

  pass(from: number, to: number): void {
    for (;;) {
      const next = this.waitUntil ?? (this.task !== null && !this.task.up ? this.task.since + START_TIMEOUT : null);
      if (next === null || next > to) return;
      assert.ok(next >= from);
      if (this.waitUntil === null) this.lost(next);
      this.waitUntil = this.task === null && this.waitUntil === next ? null : this.waitUntil;
      this.follow(next);
    }
  }
}

class Stage {
  readonly clock = new VirtualClock();
  readonly #space: Dataspace;
  readonly #accounts = new Map(THINGS.map((what) => [what, new Account()]));
  readonly #tasks = new Map<string, { self: Self; source: OutsideSource; own: EndpointHandle[] }>();
  readonly #starts = new Map<string, number>();
  readonly #handles = { demand: new Map<What, EndpointHandle[]>(), supply: new Map<What, EndpointHandle[]>() };
  #hand!: { self: Self; source: OutsideSource };
  #matcher!: DemandHandle;
  #count = 0;

  constructor() {
    const scope = new Scope({ parent: null, clock: this.clock });
    this.#space = scope.run(() => new Dataspace({ burst: 2, slice: 5 }));
  }

  async open(): Promise<void> {
    void this.#space.run();
    this.#space.spawn((self) => {
      this.#hand = { self, source: self.outside() };
    });
    this.#space.spawn((self) => {
      this.#matcher = matchDemand(self, {
        demand: publishersOf(wants(capture('what'), _)),
        supply: publishersOf(has(capture('what'))),
        start: (task, { bindings: { what } }) => this.#start(task, what),
        startTimeout: START_TIMEOUT,
        restart: { delay: DELAY, maxDelay: MAX_DELAY, limit: LIMIT, within: WITHIN },
      });
    });
    await this.clock.settle();
  }

  #start(self: Self, what: string): void {
    assert.equal(this.#tasks.has(what), false, `two tasks for ${what}`);
    this.#starts.set(what, (this.#starts.get(what) ?? 0) + 1);
    this.#tasks.set(what, { self, source: self.outside(), own: [] });
    self.onEnd(() => this.#tasks.delete(what));
  }

  async play(step: Step): Promise<void> {
    const before = this.clock.now();
    if (step.kind === 'asks') this.#hand.source.enter(() => step.asks.forEach((ask) => this.#ask(ask)));
    else if (step.kind === 'task') this.#act(step.what, step.does);
    else await this.clock.advance(step.ms);
    await this.clock.settle();
    const now = this.clock.now();
    for (const [what, account] of this.#accounts) {
      if (step.kind === 'time') account.pass(before, now);
      else account.follow(now);
      this.#compare(what, account);
    }
  }

  #ask({ kind, what, less }: Ask): void {
    const handles = this.#handles[kind].get(what) ?? [];
    this.#handles[kind].set(what, handles);
    if (less) handles.shift()?.withdraw();
    else {
      this.#count += 1;
      const { self } = this.#hand;
      handles.push(self.publish(kind === 'demand' ? wants(what, String(this.#count)) : has(what)));
    }
    const account = this.#accounts.get(what) as Account;
    account[kind === 'demand' ? 'demand' : 'others'] = handles.length;
  }

  #act(what: What, does: 'supply' | 'withdraw' | 'fail' | 'quit'): void {
    const account = this.#accounts.get(what) as Account;
    const task = this.#tasks.get(what);
    if (task === undefined || account.task === null) return;
    if (does === 'supply') account.task.own += 1;
    else if (does === 'withdraw') account.task.own = Math.max(0, account.task.own - 1);
    else account.lost(this.clock.now());
    task.source.enter(() => {
      if (does === 'supply') task.own.push(task.self.publish(has(what)));
      else if (does === 'withdraw') task.own.shift()?.withdraw();
      else if (does === 'quit') task.self.quit();
      else throw new Error('told to');
    });
  }

  #compare(what: What, account: Account): void {
    const report = this.#matcher.report().find(({ bindings }) => bindings['what'] === what);
    const { demand, supply, state } = report ?? { demand: 0, supply: 0, state: 'idle' };
    const is = { demand, supply, state, alive: this.#tasks.has(what), starts: this.#starts.get(what) ?? 0 };
    const { starts } = account;
    const alive = account.task !== null;
    const ought = { demand: account.demand, supply: account.supply, state: account.state, alive, starts };
    assert.deepEqual(is, ought, `${what} at ${this.clock.now()}`);
    if (demand === 0 && supply === 0) assert.equal(report, undefined, 'nothing is remembered');
  }
}

describe('demand and supply as they come', () => {
  test('tasks are started, stopped, lost and given up just as the table says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 40 }), async (plan) => {
        const stage = new Stage();
        await stage.open();
        for (const step of plan) await stage.play(step);
      }),
      { numRuns: 400 },
    );
  });
});

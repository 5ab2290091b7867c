import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LocalPermits } from '../../src/server/permits.ts';
import type { PermitStore } from '../../src/server/permits.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { capturingUncaught } from '../support/uncaught.ts';

/** What a waiter does when it is woken: takes, takes and gives back, takes nothing, or takes nothing and asks again, to take then. */
const habits = ['take', 'probe', 'pass', 'again'] as const;
type Habit = (typeof habits)[number];

interface Waiting {
  readonly id: number;
  readonly habit: Habit;
}

/** What has to be true, in the plainest way. */
interface Model {
  used: number;
  limit: number;
  perClient: number;
  readonly clients: Map<string, number>;
  queue: Waiting[];
  readonly woken: number[];
  next: number;
}

/** The real permits, with those who wait for them. */
class Real {
  readonly clock: VirtualClock = new VirtualClock();
  readonly permits: LocalPermits;
  readonly woken: number[] = [];
  readonly cancels = new Map<number, () => void>();
  #inCall = false;

  constructor(connections: number, perClient: number) {
    this.permits = new LocalPermits({ connections, perClient }, this.clock);
  }

  call<T>(act: (permits: LocalPermits) => T): T {
    this.#inCall = true;
    try {
      return act(this.permits);
    } finally {
      this.#inCall = false;
    }
  }

  wait(id: number, habit: Habit): void {
    const cancel = this.permits.wait(() => {
      assert.ok(!this.#inCall, 'woken within a call');
      this.woken.push(id);
      if (habit === 'take') assert.ok(this.permits.take(), 'nobody was faster');
      else if (habit === 'probe') {
        assert.ok(this.permits.take());
        this.permits.give();
      } else if (habit === 'again') this.wait(id, 'take');
    });
    this.cancels.set(id, cancel);
  }
}

type Command = fc.AsyncCommand<Model, Real>;

function compare(model: Model, { permits, woken }: Real): void {
  assert.equal(permits.used, model.used);
  assert.equal(permits.limit, model.limit);
  assert.equal(permits.perClient, model.perClient);
  assert.equal(permits.waiting, model.queue.length);
  assert.equal(permits.clients, model.clients.size);
  for (const client of ['a', 'b']) assert.equal(permits.usedBy(client), model.clients.get(client) ?? 0);
  assert.deepEqual(woken, model.woken);
}

function command(name: string, act: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      act(model, real);
      compare(model, real);
      return Promise.resolve();
    },
    toString: () => name,
  };
}

const state = { code: 'ERR_PORTSIDE_STATE' };

const take = (): Command =>
  command('take', (model, real) => {
    const free = model.used < model.limit;
    if (free) model.used++;
    assert.equal(
      real.call((permits) => permits.take()),
      free,
    );
  });

const give = (): Command =>
  command('give', (model, real) => {
    if (model.used === 0) assert.throws(() => real.call((permits) => permits.give()), state);
    else {
      model.used--;
      real.call((permits) => permits.give());
    }
  });

const wait = (habit: Habit): Command =>
  command(`wait to ${habit}`, (model, real) => {
    const id = model.next++;
    model.queue.push({ id, habit });
    real.call(() => real.wait(id, habit));
  });

const cancel = (id: number): Command =>
  command(`cancel ${id}`, (model, real) => {
    model.queue = model.queue.filter((waiting) => waiting.id !== id);
    real.call(() => real.cancels.get(id)?.());
  });

const resize = (connections: number | undefined, perClient: number | undefined): Command =>
  command(`resize ${String(connections)} ${String(perClient)}`, (model, real) => {
    if (connections !== undefined) model.limit = connections;
    if (perClient !== undefined) model.perClient = perClient;
    real.call((permits) => permits.resize({ connections, perClient }));
  });

const takeFor = (client: string): Command =>
  command(`take for ${client}`, (model, real) => {
    const has = model.clients.get(client) ?? 0;
    const free = has < model.perClient;
    if (free) model.clients.set(client, has + 1);
    assert.equal(
      real.call((permits) => permits.takeFor(client)),
      free,
    );
  });

const giveFor = (client: string): Command =>
  command(`give for ${client}`, (model, real) => {
    const has = model.clients.get(client) ?? 0;
    if (has === 0) assert.throws(() => real.call((permits) => permits.giveFor(client)), state);
    else real.call((permits) => permits.giveFor(client));
    if (has > 1) model.clients.set(client, has - 1);
    else model.clients.delete(client);
  });

/** Everything that is due happens: those that wait are woken in order, as long as a permit is free. */
const turn = (): Command => ({
  check: () => true,
  async run(model, real) {
    while (model.queue.length > 0 && model.used < model.limit) {
      const { id, habit } = model.queue.shift()!;
      model.woken.push(id);
      if (habit === 'take') model.used++;
      if (habit === 'again') model.queue.push({ id, habit: 'take' });
    }
    await real.clock.settle();
    compare(model, real);
  },
  toString: () => 'turn',
});

const limit = fc.oneof({ weight: 5, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.constant(Infinity) });
const client = fc.constantFrom('a', 'b');
const commands = fc.commands(
  [
    fc.constant(take()),
    fc.constant(give()),
    fc.constant(give()),
    fc.constantFrom(...habits).map(wait),
    fc.constant(wait('take')),
    fc.nat(12).map(cancel),
    fc.tuple(fc.option(limit, { nil: undefined }), fc.option(limit, { nil: undefined })).map(([a, b]) => resize(a, b)),
    client.map(takeFor),
    client.map(giveFor),
    fc.constant(turn()),
    fc.constant(turn()),
  ],
  { maxCommands: 60 },
);

describe('permits', () => {
  test('are exact, and wake in order, under any order of calls', async () => {
    await fc.assert(
      fc.asyncProperty(limit, limit, commands, async (connections, perClient, calls) => {
        await fc.asyncModelRun(
          () => ({
            model: {
              used: 0,
              limit: connections,
              perClient,
              clients: new Map(),
              queue: [],
              woken: [],
              next: 0,
            },
            real: new Real(connections, perClient),
          }),
          calls,
        );
      }),
      { numRuns: 500 },
    );
  });

  /** Who was woken by the time that all has settled. */
  async function wokenOf(
    permits: PermitStore,
    clock: VirtualClock,
    waiters: number,
    takes: boolean,
  ): Promise<number[]> {
    const woken: number[] = [];
    for (let i = 0; i < waiters; i++) {
      permits.wait(() => {
        woken.push(i);
        if (takes) assert.ok(permits.take());
      });
    }
    await clock.settle();
    return woken;
  }

  test('one that is free wakes one of many, and the others sleep on', async () => {
    const clock = new VirtualClock();
    const permits = new LocalPermits({ connections: 3 }, clock);
    while (permits.take());
    permits.give();
    assert.deepEqual(await wokenOf(permits, clock, 100, true), [0]);
    assert.equal(permits.waiting, 99);
  });

  test('one that nobody takes is offered to each in turn, once', async () => {
    const clock = new VirtualClock();
    const permits = new LocalPermits({ connections: 1 }, clock);
    assert.deepEqual(await wokenOf(permits, clock, 4, false), [0, 1, 2, 3]);
    assert.equal(permits.waiting, 0);
  });

  test('one that somebody else takes before the wake wakes nobody, and costs nobody his place', async () => {
    const clock = new VirtualClock();
    const permits = new LocalPermits({ connections: 1 }, clock);
    assert.ok(permits.take());
    const woken = wokenOf(permits, clock, 2, true);
    permits.give();
    assert.ok(permits.take());
    assert.deepEqual(await woken, []);
    permits.give();
    await clock.settle();
    assert.deepEqual(await woken, [0]);
  });

  test('that were more than a new limit stay, and none is to be had before they are fewer', async () => {
    const clock = new VirtualClock();
    const permits = new LocalPermits({ connections: 4 }, clock);
    while (permits.take());
    permits.resize({ connections: 2 });
    assert.deepEqual([permits.used, permits.limit], [4, 2]);
    const woken = wokenOf(permits, clock, 1, true);
    permits.give();
    permits.give();
    assert.ok(!permits.take());
    assert.deepEqual(await woken, []);
    permits.give();
    await clock.settle();
    assert.deepEqual(await woken, [0]);
    assert.equal(permits.used, 2);
  });

  test('of a client are counted without a limit too, so that a later one holds', () => {
    const permits = new LocalPermits({}, systemClock);
    assert.deepEqual([permits.limit, permits.perClient], [Infinity, Infinity]);
    for (let i = 0; i < 3; i++) assert.ok(permits.takeFor('a'));
    permits.resize({ perClient: 3 });
    assert.ok(!permits.takeFor('a') && permits.takeFor('b'));
    permits.giveFor('a');
    assert.ok(permits.takeFor('a'));
  });

  test('leave nothing behind of clients that have gone', () => {
    const permits = new LocalPermits({ perClient: 2 }, systemClock);
    for (let i = 0; i < 1_000; i++) assert.ok(permits.takeFor(`client ${i}`));
    for (let i = 0; i < 1_000; i++) permits.giveFor(`client ${i}`);
    assert.equal(permits.clients, 0);
  });

  test('given back without having been taken are an error with ERR_PORTSIDE_STATE, and none appears', () => {
    const permits = new LocalPermits({ connections: 1, perClient: 1 }, systemClock);
    assert.throws(() => permits.give(), state);
    assert.throws(() => permits.giveFor('a'), state);
    assert.ok(permits.take() && !permits.take());
    assert.ok(permits.takeFor('a') && !permits.takeFor('a'));
  });

  test('wake outside of the async context of who gave one back', async () => {
    const context = new AsyncLocalStorage<string>();
    const permits = new LocalPermits({ connections: 1 }, systemClock);
    permits.take();
    const seen = new Promise((resolve) => {
      permits.wait(() => resolve(context.getStore()));
    });
    context.run('a connection', () => permits.give());
    assert.equal(await seen, undefined);
  });

  test('a waiter that throws is an uncaught exception, and stops no other', async () => {
    await capturingUncaught(async (caught) => {
      const permits = new LocalPermits({ connections: 1 }, systemClock);
      const error = new Error('from a waiter');
      permits.wait(() => {
        throw error;
      });
      await new Promise<void>((resolve) => {
        permits.wait(resolve);
      });
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      assert.deepEqual(caught, [error]);
    });
  });

  test('a waiter that asks again and again without taking is woken once a turn, and holds up nobody', async () => {
    const permits = new LocalPermits({ connections: 1 }, systemClock);
    let asking = true;
    let woken = 0;
    const ask = (): void => {
      woken++;
      if (asking) permits.wait(ask);
    };
    ask();
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    asking = false;
    assert.ok(woken >= 4 && woken <= 7, String(woken));
    await new Promise<void>((resolve) => {
      permits.wait(resolve);
    });
    assert.equal(permits.waiting, 0);
  });

  test('can not be waited for by any number, which is ERR_PORTSIDE_LIMIT', () => {
    const permits = new LocalPermits({ connections: 0 }, systemClock);
    const cancels = Array.from({ length: 10_000 }, () => permits.wait(() => {}));
    assert.throws(() => permits.wait(() => {}), { code: 'ERR_PORTSIDE_LIMIT' });
    for (const each of cancels) each();
    assert.equal(permits.waiting, 0);
  });

  test('limits that are none are refused with ERR_PORTSIDE_OPTIONS, and change nothing', () => {
    const permits = new LocalPermits({ connections: 5, perClient: 2 }, systemClock);
    for (const wrong of [{ connections: -1 }, { perClient: 1.5 }, { connections: Number.NaN }, { clients: 1 }]) {
      assert.throws(() => permits.resize(wrong), { code: 'ERR_PORTSIDE_OPTIONS' });
      assert.throws(() => new LocalPermits(wrong, systemClock), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.deepEqual([permits.limit, permits.perClient], [5, 2]);
  });
});

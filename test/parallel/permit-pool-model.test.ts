import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { borrowedPermits } from '../../src/parallel/borrowed-permits.ts';
import type { BorrowedPermits } from '../../src/parallel/borrowed-permits.ts';
import { PermitPool } from '../../src/parallel/permit-pool.ts';
import type { Loan, PermitMode } from '../../src/parallel/permit-pool.ts';
import type { PermitStore } from '../../src/server/permits.ts';
import { systemClock } from '../../src/sync/clock.ts';

// The parent and its workers live in one thread here, over real ports, so that any order of steps can be tried again. What threads do to one another is in
// permit-pool-stress.test.ts.

/** Turns of the loop in which everything that can be granted has to be. */
const TURNS = 400;
const clients = ['a', 'b'] as const;
type Client = (typeof clients)[number];

/** What a waiter does when it is woken: takes, takes and gives back, or takes nothing. One that takes and finds none asks again. */
const habits = ['take', 'probe', 'pass'] as const;
type Habit = (typeof habits)[number];

interface Waiting {
  readonly place: Place;
  readonly habit: Habit;
  cancel: () => void;
}

/** Somebody who takes permits: the parent, or a worker. */
interface Place {
  readonly store: PermitStore;
  /** In use, which the pool must know. */
  held: number;
  /** Handed, and not arrived. */
  coming: number;
  readonly clients: Map<string, number>;
}

interface Worker extends Place {
  readonly mode: PermitMode;
  readonly loan: Loan;
  readonly store: BorrowedPermits;
}

/** What must be true, in the plainest way: the counts of everybody. */
class Town {
  readonly pool: PermitPool;
  readonly parent: Place;
  readonly workers: Worker[];
  readonly waiting = new Set<Waiting>();
  limit: number;
  perClient: number;

  constructor(limit: number, perClient: number, modes: readonly PermitMode[]) {
    this.limit = limit;
    this.perClient = perClient;
    this.pool = new PermitPool({ connections: limit, perClient }, systemClock);
    this.parent = { store: this.pool.store, held: 0, coming: 0, clients: new Map() };
    this.workers = modes.map((mode) => this.hire(mode));
  }

  hire(mode: PermitMode): Worker {
    const loan = this.pool.lend(mode);
    return { mode, loan, store: borrowedPermits(loan.ticket), held: 0, coming: 0, clients: new Map() };
  }

  get places(): readonly Place[] {
    return [this.parent, ...this.workers];
  }

  get inUse(): number {
    return this.places.reduce((sum, { held, coming }) => sum + held + coming, 0);
  }

  usedBy(client: string): number {
    return this.places.reduce((sum, place) => sum + (place.clients.get(client) ?? 0), 0);
  }

  /** Takes, which must not go above the limit. */
  take(place: Place): boolean {
    const free = this.inUse < this.limit;
    if (!place.store.take()) return false;
    assert.ok(free, `one more than ${this.limit}`);
    place.held += 1;
    return true;
  }

  give(place: Place): void {
    place.held -= 1;
    place.store.give();
  }

  wait(place: Place, habit: Habit): void {
    const waiting: Waiting = { place, habit, cancel: () => {} };
    this.waiting.add(waiting);
    waiting.cancel = place.store.wait(() => {
      this.waiting.delete(waiting);
      if (habit === 'pass') return;
      if (!this.take(place)) this.wait(place, habit);
      else if (habit === 'probe') this.give(place);
    });
  }

  /** The book against the counts. */
  check(): void {
    const { pool, workers } = this;
    assert.equal(pool.used - pool.unused, this.inUse);
    assert.equal(pool.limit, this.limit);
    assert.equal(pool.perClient, this.perClient);
    assert.equal(pool.used, this.parent.held + workers.reduce((sum, { loan }) => sum + loan.out, 0));
    for (const { loan, held, coming } of workers) assert.equal(loan.out - loan.unused, held + coming);
    if (pool.used > pool.limit) assert.equal(pool.unused, 0, 'unused permits above the limit');
  }

  checkClients(): void {
    for (const client of clients) assert.equal(this.pool.usedBy(client), this.usedBy(client));
  }

  /** Nobody waits while there is a permit that nobody uses. */
  async calm(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) {
      if (this.waiting.size === 0 || this.inUse >= this.limit) break;
      await new Promise(setImmediate);
    }
    assert.ok(
      this.waiting.size === 0 || this.inUse >= this.limit,
      `${this.waiting.size} wait, and ${this.inUse} of ${this.limit} are in use`,
    );
    this.check();
  }

  /** As many turns as messages need to be heard by everybody. */
  async heard(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  }
}

type Command = fc.AsyncCommand<object, Town>;

function command(name: string, act: (town: Town) => void | Promise<void>): Command {
  return {
    check: () => true,
    async run(_model, town) {
      await act(town);
      town.check();
    },
    toString: () => name,
  };
}

const state = { code: 'ERR_PORTSIDE_STATE' };
const closed = { code: 'ERR_PORTSIDE_CLOSED' };

function workerAt(town: Town, at: number): Worker {
  return town.workers[at % town.workers.length]!;
}

function placeAt(town: Town, at: number): Place {
  return town.places[at % town.places.length]!;
}

const take = (at: number): Command =>
  command(`${at} takes`, (town) => {
    const worker = workerAt(town, at);
    if (worker.mode === 'leased') town.take(worker);
  });

const takeHere = (): Command =>
  command('the parent takes', (town) => {
    const free = town.inUse < town.limit;
    const waited = town.waiting.size > 0;
    const got = town.take(town.parent);
    // What was just granted to a worker that waits can't be had.
    if (free && !waited) assert.ok(got, 'there was one that nobody used');
  });

const hand = (at: number): Command =>
  command(`the parent takes, and hands it to ${at}`, (town) => {
    const worker = workerAt(town, at);
    if (worker.mode === 'leased') {
      assert.throws(() => worker.loan.handed(), state);
      return;
    }
    if (!town.take(town.parent)) return;
    worker.loan.handed();
    town.parent.held -= 1;
    worker.coming += 1;
  });

const arrive = (at: number): Command =>
  command(`one arrives at ${at}`, (town) => {
    const worker = workerAt(town, at);
    if (worker.mode === 'leased') return;
    assert.ok(worker.store.take());
    if (worker.coming === 0) {
      // Nobody was there after all.
      worker.store.give();
      return;
    }
    worker.store.arrived();
    worker.coming -= 1;
    worker.held += 1;
  });

const takeBack = (at: number): Command =>
  command(`one that was handed to ${at} comes back`, (town) => {
    const worker = workerAt(town, at);
    if (worker.coming === 0) return;
    worker.loan.takeBack();
    worker.coming -= 1;
    town.parent.held += 1;
  });

const give = (at: number): Command =>
  command(`${at} gives`, (town) => {
    const place = placeAt(town, at);
    if (place.held === 0) assert.throws(() => place.store.give(), state);
    else town.give(place);
  });

const wait = (at: number, habit: Habit): Command =>
  command(`${at} waits to ${habit}`, (town) => {
    const place = placeAt(town, at);
    // What arrives where they are handed has its permit already.
    if (place === town.parent || (place as Worker).mode === 'leased') town.wait(place, habit);
  });

const cancel = (nth: number): Command =>
  command(`waiting ${nth} is called off`, (town) => {
    const waiting = [...town.waiting][nth];
    if (waiting === undefined) return;
    town.waiting.delete(waiting);
    waiting.cancel();
  });

const resize = (connections: number | undefined, perClient: number | undefined): Command =>
  command(`resize ${String(connections)} ${String(perClient)}`, (town) => {
    town.limit = connections ?? town.limit;
    town.perClient = perClient ?? town.perClient;
    town.pool.resize({ connections, perClient });
  });

const die = (at: number): Command =>
  command(`${at} dies, and another is hired`, async (town) => {
    const worker = workerAt(town, at);
    const unanswered = [...clients].map((client) => worker.store.takeFor(client));
    const { unused } = worker.loan;
    assert.equal(worker.loan.end(), worker.held + worker.coming + unused);
    assert.equal(worker.loan.end(), 0);
    assert.equal(worker.loan.out, 0);
    assert.equal(worker.loan.unused, 0);
    for (const waiting of town.waiting) if (waiting.place === worker) town.waiting.delete(waiting);
    town.workers[town.workers.indexOf(worker)] = town.hire(worker.mode);
    town.check();
    for (const one of unanswered) await assert.rejects(one, closed);
    if (worker.mode === 'leased') assert.equal(worker.store.take(), false);
    town.checkClients();
  });

const takeFor = (at: number, client: Client): Command =>
  command(`${at} takes for ${client}`, async (town) => {
    const place = placeAt(town, at);
    const before = town.usedBy(client);
    const granted = await place.store.takeFor(client);
    assert.equal(granted, before < town.perClient);
    if (granted) place.clients.set(client, (place.clients.get(client) ?? 0) + 1);
    town.checkClients();
  });

const giveFor = (at: number, client: Client): Command =>
  command(`${at} gives for ${client}`, async (town) => {
    const place = placeAt(town, at);
    const has = place.clients.get(client) ?? 0;
    if (has === 0) {
      if (place !== town.parent) assert.throws(() => place.store.giveFor(client), state);
      return;
    }
    place.store.giveFor(client);
    place.clients.set(client, has - 1);
    await town.heard();
    town.checkClients();
  });

const calm = (): Command => command('calm', (town) => town.calm());
const heard = (): Command =>
  command('all is heard', async (town) => {
    await town.heard();
    for (const { store } of town.workers) {
      assert.equal(store.limit, town.limit);
      assert.equal(store.perClient, town.perClient);
    }
  });

/** Everything comes back, by being given and by ends, and nobody is left waiting who could have one. */
async function close(town: Town): Promise<void> {
  await town.calm();
  for (const waiting of town.waiting) waiting.cancel();
  town.waiting.clear();
  for (const place of town.places) while (place.held > 0) town.give(place);
  town.check();
  for (const worker of town.workers) worker.loan.end();
  assert.equal(town.pool.used, 0);
  assert.equal(town.pool.waiting, 0);
  for (const [client, count] of town.parent.clients)
    for (let given = 0; given < count; given += 1) town.pool.giveFor(client);
  assert.equal(town.pool.clients, 0);
}

const at = fc.nat({ max: 4 });
const limits = fc.oneof(fc.nat({ max: 4 }), fc.constantFrom(7, 40, 2_000, Infinity));
const mode = fc.constantFrom<PermitMode>('handed', 'leased', 'leased');

const steps = [
  at.map(take),
  at.map(take),
  at.map(give),
  at.map(give),
  fc.constant(null).map(takeHere),
  at.map(hand),
  at.map(arrive),
  at.map(takeBack),
  fc.tuple(at, fc.constantFrom(...habits)).map((args) => wait(...args)),
  fc.tuple(at, fc.constant<Habit>('take')).map((args) => wait(...args)),
  fc.nat({ max: 3 }).map(cancel),
  fc.tuple(fc.option(limits, { nil: undefined }), fc.option(limits, { nil: undefined })).map((args) => resize(...args)),
  at.map(die),
  fc.tuple(at, fc.constantFrom(...clients)).map((args) => takeFor(...args)),
  fc.tuple(at, fc.constantFrom(...clients)).map((args) => giveFor(...args)),
  fc.constant(null).map(calm),
  fc.constant(null).map(heard),
];

// Ports of permits keep nothing alive, and here there is nothing else.
let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => {}, 60_000);
});
after(() => clearInterval(alive));

describe('permits over workers, in any order of steps', () => {
  test('are exact, and none lies idle while somebody waits', async () => {
    await fc.assert(
      fc.asyncProperty(
        limits,
        limits,
        fc.array(mode, { minLength: 1, maxLength: 4 }),
        fc.commands(steps, { maxCommands: 60, size: 'max' }),
        async (limit, perClient, modes, commands) => {
          const town = new Town(limit, perClient, modes);
          await fc.asyncModelRun(() => ({ model: {}, real: town }), commands);
          await close(town);
        },
      ),
      { numRuns: 300 },
    );
  });
});

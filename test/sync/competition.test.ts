import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { choose, guard, makeEvt, map, none, select, sync } from '../../src/sync/evt.ts';
import type { Evt } from '../../src/sync/evt.ts';
import { Fifo } from '../../src/sync/fifo.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { Semaphore } from '../../src/sync/semaphore.ts';
import type { Permit } from '../../src/sync/semaphore.ts';
import { Queue, turn } from './support.ts';

/** A queue as careless as the rules allow: it wakes everybody, late, and sometimes for nothing. */
class HerdQueue<T> {
  readonly items: T[] = [];
  readonly wakes = new Set<{ wake: () => void }>();

  readonly evt: Evt<T> = makeEvt({
    take: () => (this.items.length === 0 ? none : (this.items.shift() as T)),
    watch: (wake) => {
      const one = { wake };
      this.wakes.add(one);
      return () => void this.wakes.delete(one);
    },
  });

  get watching(): number {
    return this.wakes.size;
  }

  push(item: T): void {
    this.items.push(item);
    this.stir();
  }

  stir(): void {
    const all = [...this.wakes];
    queueMicrotask(() => {
      for (const { wake } of all) wake();
    });
  }
}

interface Item {
  readonly queue: number;
  readonly n: number;
}

type Value = Item | Permit;

interface Wait {
  readonly sources: readonly number[];
  readonly controller: AbortController;
  state: 'pending' | 'fulfilled' | 'rejected';
  aborted: boolean;
  value: Value | undefined;
}

const QUEUES = 4;
const SEMAPHORES = 2;

// A world of two orderly queues, two careless ones and two semaphores.
class World {
  readonly orderly = [new Queue<Item>(), new Queue<Item>()];
  readonly careless = [new HerdQueue<Item>(), new HerdQueue<Item>()];
  readonly semaphores = [new Semaphore(1), new Semaphore(2)];
  readonly pushed: number[] = Array.from({ length: QUEUES }, () => 0);
  readonly got: Item[][] = Array.from({ length: QUEUES }, () => []);
  readonly held: Permit[][] = [[], []];
  readonly waits: Wait[] = [];
  readonly permits = new Set<Permit>();

  queue(n: number): Queue<Item> | HerdQueue<Item> {
    return (n < 2 ? this.orderly[n] : this.careless[n - 2]) as Queue<Item> | HerdQueue<Item>;
  }

  source(n: number): Evt<Value> {
    if (n < QUEUES) return this.queue(n).evt;
    return (this.semaphores[n - QUEUES] as Semaphore).acquireEvt();
  }

  push(n: number): void {
    this.queue(n).push({ queue: n, n: this.pushed[n]! });
    this.pushed[n]! += 1;
  }

  note(value: Value): void {
    if ('queue' in value) {
      this.got[value.queue]?.push(value);
      return;
    }
    assert.equal(this.permits.has(value), false, 'a permit was given twice');
    this.permits.add(value);
  }

  /** `shape` says how the sources are put together; it must make no difference. */
  wait(sources: readonly number[], shape: number): void {
    const wait: Wait = {
      sources,
      controller: new AbortController(),
      state: 'pending',
      aborted: false,
      value: undefined,
    };
    this.waits.push(wait);
    const events = sources.map((n) => this.source(n));
    const mapped = map(choose(...events), (value) => {
      assert.equal(wait.value, undefined, 'mapped twice');
      wait.value = value;
      this.note(value);
      return value;
    });
    const event =
      shape === 0
        ? mapped
        : shape === 1
          ? guard(() => mapped)
          : choose(
              guard(() => choose(mapped)),
              choose(),
            );
    sync(event, { signal: wait.controller.signal }).then(
      (value) => {
        assert.equal(value, wait.value);
        wait.state = 'fulfilled';
      },
      () => {
        wait.state = 'rejected';
      },
    );
  }

  acquire(n: number): void {
    const controller = new AbortController();
    const wait: Wait = { sources: [QUEUES + n], controller, state: 'pending', aborted: false, value: undefined };
    this.waits.push(wait);
    (this.semaphores[n] as Semaphore).acquire({ signal: controller.signal }).then(
      (permit) => {
        wait.value = permit;
        wait.state = 'fulfilled';
        this.note(permit);
      },
      () => {
        wait.state = 'rejected';
      },
    );
  }

  abort(n: number): void {
    const wait = this.waits[n];
    if (wait === undefined) return;
    wait.aborted = true;
    wait.controller.abort();
  }

  release(n: number): void {
    const permit = [...this.permits].filter(({ released }) => !released)[n];
    permit?.release();
    permit?.release();
  }

  takeNow(n: number): void {
    const value = this.source(n).take();
    if (value !== none) this.note(value);
  }

  check(): void {
    const pending = this.waits.filter(({ state }) => state === 'pending');
    for (let n = 0; n < QUEUES; n++) {
      const queue = this.queue(n);
      const seen = [...(this.got[n] ?? []), ...queue.items].map((item) => item.n);
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        Array.from({ length: this.pushed[n]! }, (_, i) => i),
        'every item once',
      );
      const watchers = queue instanceof Queue ? queue.watchers.size : queue.watching;
      assert.equal(watchers, occurrences(pending, n), 'only who waits watches');
      if (watchers > 0) assert.equal(queue.items.length, 0, 'nobody waits for what is there');
    }
    for (const [n, semaphore] of this.semaphores.entries()) {
      assert.equal(semaphore.waiting, occurrences(pending, QUEUES + n));
      if (semaphore.waiting > 0) assert.equal(semaphore.available, 0, 'nobody waits for a permit that is free');
    }
    for (const wait of this.waits) {
      if (wait.state === 'pending') assert.deepEqual([wait.value, wait.aborted], [undefined, false]);
      if (wait.state === 'fulfilled') assert.notEqual(wait.value, undefined);
      if (wait.state === 'rejected') assert.deepEqual([wait.value, wait.aborted], [undefined, true]);
    }
    const out = [...this.permits].filter(({ released }) => !released).length;
    const size = this.semaphores.reduce((sum, one) => sum + one.size, 0);
    const free = this.semaphores.reduce((sum, one) => sum + one.available, 0);
    // More may be out than there are, after a semaphore was made smaller; never fewer are free than are not out.
    assert.ok(free + out >= size, 'no permit is lost');
    if (!this.resized) assert.equal(free + out, size, 'no permit is made');
  }

  resized = false;

  resize(n: number, permits: number): void {
    this.resized = true;
    this.semaphores[n]?.resize(permits);
  }
}

function occurrences(waits: readonly Wait[], source: number): number {
  return waits.reduce((sum, { sources }) => sum + sources.filter((n) => n === source).length, 0);
}

const queue = fc.nat(QUEUES - 1);
const semaphore = fc.nat(SEMAPHORES - 1);
const source = fc.nat(QUEUES + SEMAPHORES - 1);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('push' as const), n: queue }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      sources: fc.array(source, { minLength: 1, maxLength: 4 }),
      shape: fc.nat(2),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('acquire' as const), n: semaphore }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), n: fc.nat(15) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const), n: source }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stir' as const), n: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('microtask' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
);
const resize = fc.record({ kind: fc.constant('resize' as const), n: semaphore, permits: fc.nat(4) });

type Step =
  | (typeof step extends fc.Arbitrary<infer T> ? T : never)
  | (typeof resize extends fc.Arbitrary<infer T> ? T : never);

async function play(program: readonly Step[], seed: number): Promise<World> {
  const world = new World();
  await new Scope({ parent: null, random: seededRandom(seed) }).run(async () => {
    for (const one of program) {
      if (one.kind === 'push') world.push(one.n);
      else if (one.kind === 'wait') world.wait(one.sources, one.shape);
      else if (one.kind === 'acquire') world.acquire(one.n);
      else if (one.kind === 'abort') world.abort(one.n);
      else if (one.kind === 'release') world.release(one.n);
      else if (one.kind === 'take') world.takeNow(one.n);
      else if (one.kind === 'stir') world.careless[one.n]?.stir();
      else if (one.kind === 'resize') world.resize(one.n, one.permits);
      else if (one.kind === 'microtask') await Promise.resolve();
      else {
        await turn();
        world.check();
      }
    }
    await turn();
    world.check();
  });
  return world;
}

describe('those who compete for the same things', () => {
  test('neither lose nor duplicate a commit, whatever the interleaving', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), fc.integer(), async (program, seed) => {
        await play(program, seed);
      }),
      { numRuns: 300 },
    );
  });

  test('nor when the semaphores change their size meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(step, resize), { maxLength: 60, size: 'max' }),
        fc.integer(),
        async (program, seed) => {
          const world = await play(program, seed);
          // Once all is given back, and nobody waits any more, every permit is there.
          for (let n = 0; n < world.waits.length; n++) world.abort(n);
          await turn();
          for (const permit of world.permits) permit.release();
          for (const one of world.semaphores) assert.equal(one.available, one.size);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('do the same again for the same seed', async () => {
    const outcome = async (program: readonly Step[], seed: number): Promise<unknown> => {
      const { waits } = await play(program, seed);
      return waits.map(({ state, value }) => [state, value === undefined || 'queue' in value ? value : 'a permit']);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), fc.integer(), async (program, seed) => {
        assert.deepEqual(await outcome(program, seed), await outcome(program, seed));
      }),
      { numRuns: 60 },
    );
  });

  test('all come out of a pipeline of a thousand items and fifty takers', async () => {
    const stages = [new Queue<number>(), new Queue<number>()] as const;
    const seen: number[] = [];
    const slots = new Semaphore(7);
    let inside = 0;
    const stop = new AbortController();
    const worker = async (): Promise<void> => {
      for (;;) {
        const value = await select(
          map(choose(stages[0].evt, stages[1].evt), (n) => n),
          map(stop.signal, () => null),
        );
        if (value === null) return;
        const permit = await slots.acquire();
        assert.ok(++inside <= 7);
        await turn();
        inside--;
        permit.release();
        if (value < 1_000) stages[1].push(value + 1_000);
        else seen.push(value - 1_000);
        if (seen.length === 1_000) stop.abort();
      }
    };
    const workers = Array.from({ length: 50 }, worker);
    for (let n = 0; n < 1_000; n++) stages[0].push(n);
    await Promise.all(workers);
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 1_000 }, (_, n) => n),
    );
    assert.deepEqual([stages[0].watchers.size, stages[1].watchers.size, slots.available], [0, 0, 7]);
  });
});

describe('a queue, first in, first out', () => {
  test('is as good as a list', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -60, max: 80 }), { maxLength: 30 }), (program) => {
        const fifo = new Fifo<number>();
        let model: number[] = [];
        let n = 0;
        for (const count of program) {
          if (count === 0) {
            fifo.clear();
            model = [];
          }
          for (let i = 0; i < count; i++) {
            fifo.push(n);
            model.push(n++);
          }
          for (let i = 0; i > count; i--) assert.equal(fifo.shift(), model.shift());
          assert.equal(fifo.length, model.length);
        }
      }),
    );
  });
});

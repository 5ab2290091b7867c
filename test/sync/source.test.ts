import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { after, fromEmitter, fromIterable, isEvt, map, none, select, sync } from '../../src/sync/evt.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { stateOf, turn } from './support.ts';

function item<T>(value: T): { done: false; value: T } {
  return { done: false, value };
}

const done = { done: true, value: undefined };

describe('a source from an emitter', () => {
  test('gives each event to exactly one who waits, in order', async () => {
    const emitter = new EventEmitter();
    const source = fromEmitter<[number, string]>(emitter, 'data');
    assert.equal(isEvt(source), true);
    const first = sync(source);
    const second = select(source, after(60_000));
    emitter.emit('data', 1, 'a');
    emitter.emit('data', 2, 'b');
    emitter.emit('data', 3, 'c');
    assert.deepEqual(await first, item([1, 'a']));
    assert.deepEqual(await second, item([2, 'b']));
    assert.equal(source.buffered, 1);
    assert.deepEqual(await sync(map(source, (one) => one.value)), [3, 'c']);
    await source.close();
  });

  test('removes its listeners and wakes those who wait when it is closed', async () => {
    const emitter = new EventEmitter();
    const source = fromEmitter(emitter, 'data', { end: ['end', 'close'] });
    assert.deepEqual(emitter.eventNames(), ['data', 'end', 'close', 'error']);
    emitter.emit('data', 1);
    const closing = source.close();
    assert.equal(source.close(), closing);
    await closing;
    assert.deepEqual(emitter.eventNames(), []);
    assert.deepEqual(await sync(source), done);
    const other = fromEmitter(emitter, 'data');
    const waiting = sync(other);
    await other[Symbol.asyncDispose]();
    assert.deepEqual(await waiting, done);
  });

  test('is over after an event that ends it, once what waits is taken', async () => {
    const emitter = new EventEmitter();
    const source = fromEmitter(emitter, 'data', { end: ['end'] });
    emitter.emit('data', 1);
    emitter.emit('end');
    emitter.emit('data', 2);
    assert.deepEqual(emitter.eventNames(), []);
    assert.deepEqual(await sync(source), item([1]));
    assert.deepEqual(await sync(source), done);
    assert.deepEqual(await sync(source), done);
  });

  test('fails with what the emitter emits as an error, to all who wait', async () => {
    const emitter = new EventEmitter();
    const source = fromEmitter(emitter, 'data');
    const waits = [sync(source), sync(source)];
    emitter.emit('error', new Error('broken'));
    for (const wait of waits) await assert.rejects(wait, /broken/);
    await assert.rejects(sync(source), /broken/);
    assert.deepEqual(emitter.eventNames(), []);
    await source.close();
    const errors = fromEmitter<[Error]>(emitter, 'error');
    const error = new Error('an item');
    emitter.emit('error', error);
    assert.deepEqual(await sync(errors), item([error]));
    await errors.close();
  });

  test('rejects its closing with a failure that nobody was told of', async () => {
    const emitter = new EventEmitter();
    const source = fromEmitter(emitter, 'data');
    emitter.emit('error', new Error('untold'));
    await assert.rejects(source.close(), /untold/);
    assert.deepEqual(await sync(source), done);
  });

  test('fails when more events wait than its limit, after those that had room', async () => {
    const emitter = new EventEmitter();
    const source = fromEmitter(emitter, 'data', { limit: 2 });
    for (const n of [1, 2, 3, 4]) emitter.emit('data', n);
    assert.deepEqual(emitter.eventNames(), []);
    assert.deepEqual(await sync(source), item([1]));
    assert.deepEqual(await sync(source), item([2]));
    await assert.rejects(sync(source), { code: 'ERR_PORTSIDE_LIMIT', message: /^2 events 'data'/ });
    const wide = fromEmitter(emitter, 'data');
    for (let n = 0; n < 64; n++) emitter.emit('data', n);
    assert.deepEqual([wide.buffered, emitter.listenerCount('data')], [64, 1]);
    await wide.close();
  });

  test('drops the oldest or the newest when it is told to, and counts them', async () => {
    const emitter = new EventEmitter();
    const oldest = fromEmitter(emitter, 'data', { limit: 2, overflow: 'drop-oldest' });
    const newest = fromEmitter(emitter, 'data', { limit: 2, overflow: 'drop-newest' });
    for (const n of [1, 2, 3, 4, 5]) emitter.emit('data', n);
    assert.deepEqual([oldest.dropped, newest.dropped], [3, 3]);
    assert.deepEqual([await sync(oldest), await sync(oldest)], [item([4]), item([5])]);
    assert.deepEqual([await sync(newest), await sync(newest)], [item([1]), item([2])]);
    assert.deepEqual([oldest.take(), newest.take()], [none, none]);
    await Promise.all([oldest.close(), newest.close()]);
  });

  test('belongs to the scope in which it is made, and leaves it when it ends', async () => {
    const emitter = new EventEmitter();
    const scope = new Scope({ parent: null });
    const [open, ended, failed] = scope.run(() => [
      fromEmitter(emitter, 'data'),
      fromEmitter(emitter, 'data', { end: ['end'] }),
      fromEmitter(emitter, 'other'),
    ]);
    emitter.emit('end');
    assert.deepEqual(await sync(ended), done);
    assert.equal(scope.report().length, 2);
    await open.close();
    emitter.emit('error', new Error('untold'));
    const { open: found, errors } = await scope.close();
    assert.deepEqual(
      found.map(({ what }) => what),
      ["events 'other' of an emitter"],
    );
    assert.equal(errors.length, 1);
    assert.deepEqual(await sync(failed), done);
    assert.throws(() => scope.run(() => fromEmitter(emitter, 'data')), { code: 'ERR_PORTSIDE_SCOPE_CLOSED' });
    assert.deepEqual(emitter.eventNames(), []);
  });

  test('refuses wrong options', () => {
    const emitter = new EventEmitter();
    assert.throws(() => fromEmitter(emitter, 'x', { limit: 0 }), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => fromEmitter(emitter, 'x', { overflow: 'no' as never }), { code: 'ERR_PORTSIDE_OPTIONS' });
    for (const wrong of [null, {}, 'x']) {
      assert.throws(() => fromEmitter(wrong as never, 'x'), { code: 'ERR_PORTSIDE_OPTIONS', message: /an emitter/ });
      assert.throws(() => fromIterable(wrong as never), { code: 'ERR_PORTSIDE_OPTIONS', message: /an async iterable/ });
    }
  });
});

describe('a source from an async iterable', () => {
  /** Counts from 0, and notes how far it was read and whether it was let go. */
  class Counting implements AsyncIterableIterator<number> {
    asked = 0;
    returned = 0;
    last = Infinity;

    next(): Promise<IteratorResult<number>> {
      if (this.asked >= this.last) return Promise.resolve({ done: true, value: undefined });
      return Promise.resolve({ done: false, value: this.asked++ });
    }

    return(): Promise<IteratorResult<number>> {
      this.returned++;
      return Promise.resolve({ done: true, value: undefined });
    }

    [Symbol.asyncIterator](): this {
      return this;
    }
  }

  test('fetches nothing before somebody waits, and never more than its limit ahead', async () => {
    const counting = new Counting();
    const source = fromIterable(counting, { limit: 3 });
    await turn();
    assert.equal(counting.asked, 0);
    for (let n = 0; n < 10; n++) {
      assert.deepEqual(await sync(source), item(n));
      await turn();
      assert.equal(counting.asked, n + 4);
      assert.equal(source.buffered, 3);
    }
    await source.close();
    assert.equal(counting.returned, 1);
    assert.equal(source.buffered, 0);
  });

  test('gives every item once and in order to any number who compete, and then its end to all', async () => {
    const counting = new Counting();
    counting.last = 20;
    const source = fromIterable(counting, { limit: 2 });
    const waits = Array.from({ length: 25 }, () => select(source, new Promise<never>(() => {})));
    const results = await Promise.all(waits);
    assert.deepEqual(
      results.slice(0, 20),
      Array.from({ length: 20 }, (_, n) => item(n)),
    );
    for (const result of results.slice(20)) assert.deepEqual(result, done);
    await source.close();
    // It has ended by itself: there is nothing to let go of.
    assert.equal(counting.returned, 0);
  });

  test('fails after the items that came before the failure', async () => {
    async function* broken(): AsyncGenerator<number> {
      yield 1;
      throw new Error('broken');
    }
    const source = fromIterable(broken());
    const first = sync(source);
    assert.deepEqual(await first, item(1));
    await assert.rejects(sync(source), /broken/);
    await source.close();
    const sudden = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          throw new Error('at once');
        },
      }),
    };
    await assert.rejects(sync(fromIterable(sudden as AsyncIterable<never>)), /at once/);
    const odd = { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(undefined) }) };
    await assert.rejects(sync(fromIterable(odd as unknown as AsyncIterable<never>)), TypeError);
  });

  test('loses no item when a wait is called off or another event is chosen', async () => {
    const clock = new VirtualClock();
    await new Scope({ parent: null, clock }).run(async () => {
      async function* slow(): AsyncGenerator<number> {
        for (let n = 0; n < 5; n++) {
          await sync(after(100));
          yield n;
        }
      }
      const source = fromIterable(slow(), { limit: 1 });
      const got: number[] = [];
      const reading = (async () => {
        for (;;) {
          const one = await select(
            source,
            map(after(30), () => 'tick' as const),
          );
          if (one === 'tick') continue;
          if (one.done) return;
          got.push(one.value);
        }
      })();
      await clock.run(reading);
      assert.deepEqual(got, [0, 1, 2, 3, 4]);
    });
  });

  test('when closed, lets the generator clean up, and waits for that', async () => {
    let cleaned = false;
    async function* generator(): AsyncGenerator<number> {
      try {
        for (let n = 0; ; n++) yield n;
      } finally {
        await turn();
        cleaned = true;
      }
    }
    const source = fromIterable(generator(), { limit: 2 });
    assert.deepEqual(await sync(source), item(0));
    await turn();
    await source.close();
    assert.equal(cleaned, true);
    assert.deepEqual(await sync(source), done);
  });

  test('when closed during a fetch that never ends, does not wait for it', async () => {
    async function* stuck(): AsyncGenerator<number> {
      await new Promise(() => {});
      yield 1;
    }
    const source = fromIterable(stuck());
    const waiting = sync(source);
    await source.close();
    assert.deepEqual(await waiting, done);
  });

  test('when closed, rejects with what the iterator throws while it lets go', async () => {
    const bad = (): AsyncIterable<number> => {
      const counting = new Counting();
      counting.return = () => Promise.reject(new Error('return'));
      return counting;
    };
    const source = fromIterable(bad(), { limit: 1 });
    await sync(source);
    await turn();
    await assert.rejects(source.close(), /return/);
    await capturingUncaught(async (caught) => {
      const fetching = fromIterable(bad());
      const waiting = sync(fetching);
      await fetching.close();
      await waiting;
      await turn();
      await turn();
      assert.deepEqual(caught.map(String), ['Error: return']);
    });
    const unstarted = new Counting();
    await fromIterable(unstarted).close();
    assert.equal(unstarted.returned, 0);
  });

  test('holds what it was never asked for: a closed source that nobody waited on has touched nothing', async () => {
    let begun = false;
    const lazy = {
      [Symbol.asyncIterator]: () => {
        begun = true;
        return new Counting();
      },
    };
    const source = fromIterable(lazy);
    assert.equal(await stateOf(source.close()), 'fulfilled');
    assert.equal(begun, false);
  });

  test('neither loses nor repeats an item, for any limit and any order of fetching and taking', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.constantFrom('take', 'abort', 'give', 'turn'), { maxLength: 40 }),
        async (limit, program) => {
          let given = 0;
          const fetches: ((result: IteratorResult<number>) => void)[] = [];
          const iterable = {
            [Symbol.asyncIterator]: () => ({
              next: () => new Promise<IteratorResult<number>>((resolve) => fetches.push(resolve)),
            }),
          };
          const source = fromIterable(iterable, { limit });
          const got: number[] = [];
          const waits: { controller: AbortController; wait: Promise<void> }[] = [];
          const give = (): void => fetches.shift()?.({ done: false, value: given++ });
          for (const step of program) {
            if (step === 'take') {
              const controller = new AbortController();
              const wait = sync(source, { signal: controller.signal }).then(
                (one) => void got.push(one.value ?? -1),
                () => {},
              );
              waits.push({ controller, wait });
            } else if (step === 'abort') waits.pop()?.controller.abort();
            else if (step === 'give') give();
            else await turn();
            assert.ok(fetches.length <= 1, 'one fetch at a time');
            assert.ok(source.buffered + fetches.length <= limit);
          }
          await turn();
          assert.deepEqual(
            got,
            got.map((_, n) => n),
          );
          assert.equal(got.length + source.buffered, given);
          await source.close();
        },
      ),
      { numRuns: 150 },
    );
  });
});

import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventDriver } from '../../src/dataspace/drivers/event-driver.ts';
import { sourceEvent } from '../../src/dataspace/drivers/event-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import type { Datum } from '../../src/dataspace/topic-types.ts';
import { capturingUncaught } from '../support/uncaught.ts';
import { EventStage, pause, settled, Tap } from './event-stage.ts';

async function* count(to: number): AsyncGenerator<number> {
  for (let i = 1; i <= to; i++) yield await Promise.resolve(i);
}

describe('events of async iterables', () => {
  test('go to all who subscribe to the name, in order, and the end is an orderly absence', async () => {
    const stage = new EventStage();
    await stage.run(stage.subscriber('a', 'count'), stage.subscriber('b', 'count'), eventDriver({ count: count(2) }));
    const of = (who: string): string[] => stage.told.filter((line) => line.startsWith(who));
    assert.deepEqual(of('a'), ['a: there', 'a: 1', 'a: 2', 'a: gone, withdrawn']);
    assert.deepEqual(of('b'), ['b: there', 'b: 1', 'b: 2', 'b: gone, withdrawn']);
  });

  test('are not asked for while nobody wants them: not by an observer, a spy, or who names no source', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    await stage.run(
      eventDriver({ tap }),
      (self) => self.observePublishers(sourceEvent('tap', _), stage.hear('observer')),
      (self) => self.subscribe(sourceEvent('tap', _), {}, { interest: 'everything' }),
      (self) => self.subscribe(sourceEvent(_, _), stage.hear('anyone')),
    );
    assert.deepEqual(stage.told.toSorted(), ['anyone: there', 'observer: there']);
    assert.equal(tap.asked, 0);
    tap.give('x');
    const running = stage.run(stage.subscriber('a', 'tap', (self) => self.quit()));
    assert.deepEqual((await running).toSorted(), [
      'a: "x"',
      'a: there',
      'anyone: "x"',
      'anyone: there',
      'observer: "x"',
      'observer: there',
    ]);
    assert.equal(tap.asked, 1);
  });

  test('are asked for when all have dealt with the last, however long that takes', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    tap.give(1, 2, 3);
    tap.end();
    const work: (() => void)[] = [];
    const slow = (): Promise<void> => new Promise((resolve) => work.push(resolve));
    const done = stage.run(
      eventDriver({ tap }),
      stage.subscriber('slow', 'tap', slow),
      stage.subscriber('slow', 'tap', slow),
      stage.subscriber('quick', 'tap'),
    );
    for (let asked = 1; asked <= 3; asked++) {
      await settled();
      assert.equal(tap.asked, asked);
      assert.equal(work.length, 2);
      work.shift()?.();
      await settled();
      assert.equal(tap.asked, asked);
      work.shift()?.();
    }
    await done;
    assert.equal(tap.asked, 4);
  });

  test('go on for one when another leaves, and the space waits for them', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const done = stage.run(
      eventDriver({ tap }),
      stage.subscriber('first', 'tap', (self) => self.quit()),
      stage.subscriber('second', 'tap', (self, value) => value === 'bye' && self.quit()),
    );
    tap.give('hello');
    await settled();
    tap.give('still here');
    await settled();
    tap.give('bye');
    await done;
    assert.deepEqual(
      stage.told.filter((line) => line.startsWith('second')),
      ['second: there', 'second: "hello"', 'second: "still here"', 'second: "bye"'],
    );
    assert.deepEqual(stage.told.filter((line) => line.startsWith('first')).length, 2);
    // Nobody was there to hear one more.
    assert.equal(tap.asked, 3);
  });

  test('are asked for by who wants this source, and not by who wants another', async () => {
    const stage = new EventStage();
    const [one, other] = [new Tap(), new Tap()];
    const leave = Promise.withResolvers<void>();
    one.give(1, 2);
    const done = stage.run(
      eventDriver({ one, other }),
      stage.subscriber('one', 'one', (self) => self.quit()),
      (self) => {
        self.subscribe(sourceEvent('other', _));
        self.async(leave.promise, () => self.quit());
      },
    );
    await settled();
    assert.deepEqual([one.asked, other.asked], [1, 1]);
    leave.resolve();
    await done;
  });

  test('that came when nobody wanted them any more are for who comes next', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const leave = Promise.withResolvers<void>();
    const done = stage.run(eventDriver({ tap }), (self) => {
      const endpoint = self.subscribe(sourceEvent('tap', _), stage.hear('first'));
      self.async(leave.promise, () => endpoint.withdraw());
    });
    await settled();
    leave.resolve();
    await done;
    assert.equal(tap.asked, 1);
    tap.give('late');
    await settled();
    await stage.run(stage.subscriber('next', 'tap', (self) => self.quit()));
    assert.deepEqual(stage.told, ['first: there', 'next: there', 'next: "late"']);
    assert.equal(tap.asked, 1);
  });

  test('go to those whose topic they meet, and are gone where it is nobody’s', async () => {
    const stage = new EventStage();
    await stage.run(eventDriver({ count: count(3) }), (self) =>
      self.subscribe(sourceEvent('count', 2), stage.hear('two')),
    );
    assert.deepEqual(stage.told, ['two: there', 'two: 2', 'two: gone, withdrawn']);
  });

  test('nothing is lost and nothing told twice, whenever those who want them come and go', async () => {
    const op = fc.constantFrom('give', 'give', 'toggle', 'toggle', 'microtask', 'turn of the loop');
    await fc.assert(
      fc.asyncProperty(
        fc.array(op, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 8 }),
        async (ops, burst, slice) => {
          const stage = new EventStage({ burst, slice });
          const tap = new Tap();
          const heard: Datum[] = [];
          const toggler = new Toggler(heard);
          const running = stage.run(eventDriver({ tap }), toggler.boot);
          await settled();
          let given = 0;
          for (const what of ops) {
            if (what === 'give') tap.give((given += 1));
            else if (what === 'toggle') toggler.toggle();
            else if (what === 'microtask') await Promise.resolve();
            else await pause();
          }
          tap.end();
          toggler.on();
          await running;
          assert.deepEqual(
            heard,
            Array.from({ length: given }, (_none, i) => i + 1),
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

/**
 * Wants events, and does not, as it is told from outside. It counts as heard what was sent while it wanted them, though it
 * has its turn later: what is for a subscriber that has left by then is dropped, as all messages are.
 */
class Toggler {
  readonly #heard: Datum[];
  #self: Self | undefined;
  #source: OutsideSource | undefined;
  #wants = false;
  #counts = false;

  constructor(heard: Datum[]) {
    this.#heard = heard;
  }

  readonly boot = (self: Self): void => {
    this.#self = self;
    this.#source = self.outside();
  };

  toggle(): void {
    this.#source?.enter(() => this.#want(!this.#wants));
  }

  /** Wants them till the end. */
  on(): void {
    this.#source?.enter(() => this.#want(true));
    this.#source?.enter(() => this.#source?.release());
  }

  #want(wants: boolean): void {
    if (this.#wants === wants) return;
    this.#wants = wants;
    const interest = wants ? 'participant' : 'observer';
    const onMessage = ({ topic }: { topic: { value: Datum } }): void => {
      if (this.#counts) this.#heard.push(topic.value);
    };
    this.#self?.subscribe(sourceEvent('tap', _), { onMessage }, { interest, name: 'events' });
    // What was sent before this turn is before it.
    this.#source?.enter(() => {
      this.#counts = wants;
    });
  }
}

describe('the end of an event driver', () => {
  test('gives iterators that were begun their return, and disposes of what was made for it', async () => {
    const stage = new EventStage();
    const [wanted, unwanted, made] = [new Tap(), new Tap(), new Tap()];
    let disposed = 0;
    const disposable = Object.assign(made, {
      [Symbol.dispose]: () => {
        disposed += 1;
      },
    });
    const done = stage.run(
      eventDriver({ wanted, unwanted, made: () => disposable, never: () => assert.fail('nobody wants it') }),
      stage.subscriber('a', 'wanted'),
      stage.subscriber('a', 'made'),
    );
    await settled();
    assert.deepEqual([wanted.returned, unwanted.returned, made.returned, disposed], [0, 0, 0, 0]);
    stage.space.end();
    await done;
    assert.deepEqual([wanted.returned, unwanted.returned, made.returned, disposed], [1, 0, 1, 1]);
  });

  for (const [how, refuse] of [
    ['throws', () => assert.fail('no')],
    ['rejects', () => Promise.reject(new assert.AssertionError({ message: 'no' }))],
  ] as const)
    test(`tells the process of a return that ${how}, and of a disposal that does`, async () => {
      await capturingUncaught(async (caught) => {
        const stage = new EventStage();
        const never = { next: () => new Promise<never>(() => {}), return: refuse };
        const driver = eventDriver({
          it: () => Object.assign({ [Symbol.asyncIterator]: () => never }, { [Symbol.asyncDispose]: refuse }),
        });
        const done = stage.run(driver, stage.subscriber('a', 'it'));
        await settled();
        stage.space.end();
        await done;
        await settled();
        assert.deepEqual(
          caught.map((error) => (error as Error).message),
          ['no', 'no'],
        );
      });
    });

  test('is not asked of an iterator that is done; what was made is disposed of then', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    let disposed = 0;
    tap.end();
    const made = Object.assign(tap, {
      [Symbol.asyncDispose]: () => {
        disposed += 1;
        return Promise.resolve();
      },
    });
    await stage.run(eventDriver({ made: () => made }), stage.subscriber('a', 'made'));
    assert.equal(disposed, 1);
    stage.space.end();
    assert.deepEqual([disposed, tap.returned], [1, 0]);
  });
});

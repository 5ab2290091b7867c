import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { eventDriver } from '../../src/dataspace/drivers/event-driver.ts';
import { sourceEvent, sourceFailed } from '../../src/dataspace/drivers/event-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { after } from '../../src/sync/combinators.ts';
import { evtOf, makeEvt, none } from '../../src/sync/evt-core.ts';
import type { Evt } from '../../src/sync/evt-core.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { Watchers } from '../../src/sync/watchers.ts';
import { EventStage, settled, Tap } from './event-stage.ts';

async function* values<T>(...given: T[]): AsyncGenerator<T> {
  for (const value of given) yield await Promise.resolve(value);
}

/** An Evt that can tell what was taken. */
class Mailbox<T> {
  readonly letters: T[] = [];
  taken = 0;
  watched = 0;
  readonly #watchers = new Watchers();

  put(letter: T): void {
    this.letters.push(letter);
    this.#watchers.wakeAll();
  }

  [evtOf](): Evt<T> {
    return makeEvt<T>({
      take: () => {
        const letter = this.letters.shift();
        if (letter === undefined) return none;
        this.taken += 1;
        return letter;
      },
      watch: (wake) => {
        this.watched += 1;
        const end = this.#watchers.add(wake);
        return () => {
          this.watched -= 1;
          end();
        };
      },
    });
  }
}

const failing: Readonly<Record<string, readonly [driver: () => Boot, code: string]>> = {
  'an iterable that throws': [() => eventDriver({ it: Readable.from(breaking()) }), 'ENOSPC'],
  'a value that is no data': [
    () => eventDriver({ it: { source: values(new Date()), map: (value: Date) => value as never } }),
    'ERR_PORTSIDE_TOPIC',
  ],
  'a value with a hole in it': [() => eventDriver({ it: values(_ as never) }), 'ERR_PORTSIDE_TOPIC'],
  'a map that throws': [
    () => eventDriver({ it: { source: values('{'), map: (text) => JSON.parse(text) as string } }),
    'SyntaxError',
  ],
  'a function that throws': [() => eventDriver({ it: () => assert.fail('no') }), 'ERR_ASSERTION'],
  'a function that makes nothing': [() => eventDriver({ it: () => undefined as never }), 'ERR_PORTSIDE_OPTIONS'],
  'a function that makes a function': [
    () => eventDriver({ it: () => (() => values(1)) as never }),
    'ERR_PORTSIDE_OPTIONS',
  ],
  'an iterator that gives no step': [
    () => eventDriver({ it: { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(null as never) }) } }),
    'TypeError',
  ],
  'an iterable that throws when it is begun': [
    () => eventDriver({ it: { [Symbol.asyncIterator]: () => assert.fail('no') } }),
    'ERR_ASSERTION',
  ],
  'an Evt that throws': [
    () => eventDriver({ it: makeEvt<string>({ take: () => assert.fail('no'), watch: () => () => {} }) }),
    'ERR_ASSERTION',
  ],
};

async function* breaking(): AsyncGenerator<string> {
  yield await Promise.resolve('x');
  throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
}

describe('a source that fails', () => {
  for (const [what, [driver, code]] of Object.entries(failing))
    test(`by ${what} is absent for that reason, and told of while somebody wants it`, async () => {
      const stage = new EventStage();
      await stage.run(stage.failures('watcher'), driver(), stage.subscriber('a', 'it'));
      assert.deepEqual(stage.told.toSorted(), [
        ...(code === 'ENOSPC' ? ['a: "x"'] : []),
        `a: gone, withdrawn ${code}`,
        'a: there',
        `watcher: it failed, ${code}`,
      ]);
      assert.equal((await stage.space.run()).failed, 0);
    });

  test('is forgotten as a failure when nobody wants it, and told again to who comes next', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const leave = Promise.withResolvers<void>();
    const done = stage.run(eventDriver({ tap }), stage.failures('watcher'), (self) => {
      self.subscribe(sourceEvent('tap', _));
      self.async(leave.promise, () => self.quit());
    });
    await settled();
    tap.fail(new TypeError('no'));
    await settled();
    leave.resolve();
    await done;
    assert.deepEqual(stage.told.splice(0), ['watcher: tap failed, TypeError', 'watcher: tap no longer failed']);
    await stage.run(stage.subscriber('next', 'tap'));
    assert.deepEqual(stage.told, ['watcher: tap failed, TypeError']);
    assert.equal(tap.asked, 1);
  });

  test('does so unnoticed while nobody wants it', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const leave = Promise.withResolvers<void>();
    const done = stage.run(eventDriver({ tap }), stage.failures('watcher'), (self) => {
      self.subscribe(sourceEvent('tap', _));
      self.async(leave.promise, () => self.quit());
    });
    await settled();
    leave.resolve();
    await done;
    tap.fail(new TypeError('no'));
    await settled();
    assert.deepEqual(stage.told, []);
    await stage.run(stage.subscriber('next', 'tap'));
    assert.deepEqual(stage.told, ['next: there', 'watcher: tap failed, TypeError', 'next: gone, withdrawn TypeError']);
  });

  test('leaves the others alone, and gives its iterator up where that did not fail itself', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    tap.give('x');
    await stage.run(
      eventDriver({ bad: { source: tap, map: () => assert.fail('no') }, good: values(1) }),
      stage.subscriber('a', 'bad'),
      stage.subscriber('b', 'good'),
    );
    assert.equal(tap.returned, 1);
    assert.deepEqual(
      stage.told.filter((line) => line.startsWith('b')),
      ['b: there', 'b: 1', 'b: gone, withdrawn'],
    );
  });

  test('is also one that there is not', async () => {
    const stage = new EventStage();
    const messages: string[] = [];
    await stage.run(
      eventDriver({ known: new Tap() }),
      stage.failures('watcher'),
      (self) =>
        self.subscribe(sourceFailed('unknown', _, _), { onPresence: ({ topic }) => void messages.push(topic.message) }),
      stage.subscriber('a', 'unknown', undefined),
      (self) => self.subscribe(sourceEvent(5 as never, _)),
    );
    assert.deepEqual(stage.told.toSorted(), [
      'watcher: 5 failed, ERR_PORTSIDE_OPTIONS',
      'watcher: unknown failed, ERR_PORTSIDE_OPTIONS',
    ]);
    assert.deepEqual(messages, ['there is no source "unknown"; there is known']);
  });

  test('is told of when its actor was ended, and is there for who comes next', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const running = stage.run(eventDriver({ tap }), stage.failures('watcher'), stage.subscriber('a', 'tap'));
    await settled();
    const { actors } = stage.space.inspect();
    const feeder = actors.find(({ name }) => name === 'event source');
    stage.space.spawn((self) => self.quit(feeder?.id as number, 'away with you'));
    await running;
    assert.deepEqual(stage.told, ['a: there', 'watcher: tap failed, ERR_PORTSIDE_ABORTED']);
  });
});

describe('events of emitters', () => {
  const listeners = (emitter: EventEmitter): number =>
    emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0);

  test('are listened to only while somebody wants them, and end with their end event', async () => {
    const stage = new EventStage();
    const emitter = new EventEmitter();
    const leave = Promise.withResolvers<void>();
    stage.space.spawn(eventDriver({ door: { emitter, event: 'knock', end: ['close'] } }));
    const first = stage.run((self) => {
      self.subscribe(sourceEvent('door', _), stage.hear('first'));
      self.async(leave.promise, () => self.quit());
    });
    await settled();
    assert.equal(listeners(emitter), 3);
    emitter.emit('knock', 'one');
    emitter.emit('knock', 'two', 2);
    emitter.emit('knock');
    await settled();
    leave.resolve();
    await first;
    assert.equal(listeners(emitter), 0);
    emitter.emit('knock', 'unheard');
    const second = stage.run(stage.subscriber('second', 'door'));
    await settled();
    emitter.emit('knock', 'three');
    emitter.emit('close');
    await second;
    assert.equal(listeners(emitter), 0);
    assert.deepEqual(stage.told, [
      'first: there',
      'first: "one"',
      'first: ["two",2]',
      'first: []',
      'second: there',
      'second: "three"',
      'second: gone, withdrawn',
    ]);
  });

  test('go through the map of their values', async () => {
    const stage = new EventStage();
    const emitter = new EventEmitter();
    const map = (a: number, b: number): number => a + b;
    const done = stage.run(
      eventDriver({ sum: { emitter, event: 'add', map } }),
      stage.subscriber('a', 'sum', (self) => self.quit()),
    );
    await settled();
    emitter.emit('add', 1, 2);
    await done;
    assert.deepEqual(stage.told, ['a: there', 'a: 3']);
  });

  test('that are too many fail the source, or are dropped as was asked for', async () => {
    for (const [overflow, heard] of [
      ['error', ['1', '2', '3', 'gone, withdrawn ERR_PORTSIDE_LIMIT']],
      ['drop-oldest', ['1', '4', '5', 'gone, withdrawn']],
      ['drop-newest', ['1', '2', '3', 'gone, withdrawn']],
    ] as const) {
      const stage = new EventStage();
      const emitter = new EventEmitter();
      const work = Promise.withResolvers<void>();
      const done = stage.run(
        eventDriver({ it: { emitter, event: 'x', limit: 2, overflow, end: ['end'] } }),
        stage.subscriber('a', 'it', () => work.promise),
      );
      await settled();
      emitter.emit('x', 1);
      await settled();
      for (const value of [2, 3, 4, 5]) emitter.emit('x', value);
      emitter.emit('end');
      work.resolve();
      await done;
      assert.deepEqual(
        stage.told,
        ['there', ...heard].map((line) => `a: ${line}`),
      );
    }
  });

  test('that wait when nobody wants them any more are dropped, and so is what was not heard', async () => {
    const stage = new EventStage();
    const emitter = new EventEmitter();
    stage.space.spawn(eventDriver({ it: { emitter, event: 'x' } }));
    const first = stage.run(
      stage.subscriber('first', 'it', (self) => {
        for (const value of ['b', 'c']) emitter.emit('x', value);
        self.quit();
      }),
    );
    await settled();
    emitter.emit('x', 'a');
    await first;
    const second = stage.run(stage.subscriber('second', 'it', (self) => self.quit()));
    await settled();
    emitter.emit('x', 'd');
    await second;
    assert.deepEqual(stage.told, ['first: there', 'first: "a"', 'second: there', 'second: "d"']);
  });

  for (const [when, emitsFirst] of [
    ['before it was known that nobody wants it any more', false],
    ['in the turn in which the last who wanted it left', true],
  ] as const)
    test(`is for nobody where it came ${when}`, async () => {
      const stage = new EventStage();
      const emitter = new EventEmitter();
      const outside = Promise.withResolvers<() => void>();
      stage.space.spawn(eventDriver({ it: { emitter, event: 'x' } }));
      const first = stage.run((self) => {
        const endpoint = self.subscribe(sourceEvent('it', _), stage.hear('first'));
        const source = self.outside();
        outside.resolve(() => {
          source.enter(() => {
            if (emitsFirst) emitter.emit('x', 'lost');
            endpoint.withdraw();
          });
          source.release();
        });
      });
      const leave = await outside.promise;
      await settled();
      leave();
      if (!emitsFirst) emitter.emit('x', 'lost');
      await first;
      const second = stage.run(stage.subscriber('second', 'it', (self) => self.quit()));
      await settled();
      emitter.emit('x', 'found');
      await second;
      assert.deepEqual(stage.told, ['first: there', 'second: there', 'second: "found"']);
    });

  test('fail even when the last who wanted them has just left', async () => {
    const stage = new EventStage();
    const emitter = new EventEmitter();
    stage.space.spawn(eventDriver({ it: { emitter, event: 'x', limit: 1 } }));
    const first = stage.run(
      stage.subscriber('first', 'it', (self) => {
        for (const value of ['b', 'c']) emitter.emit('x', value);
        self.quit();
      }),
    );
    await settled();
    emitter.emit('x', 'a');
    await first;
    await stage.run(stage.subscriber('second', 'it'));
    assert.deepEqual(stage.told.slice(2), ['second: there', 'second: gone, withdrawn ERR_PORTSIDE_LIMIT']);
  });

  test('are let go when the space ends', async () => {
    const stage = new EventStage();
    const emitter = new EventEmitter();
    const done = stage.run(
      eventDriver({ given: { emitter, event: 'x' }, made: () => ({ emitter, event: 'y' }) }),
      stage.subscriber('a', 'given'),
      stage.subscriber('a', 'made'),
    );
    await settled();
    assert.equal(listeners(emitter), 4);
    stage.space.end();
    await done;
    assert.equal(listeners(emitter), 0);
  });

  test('fail by the event error', async () => {
    const stage = new EventStage();
    const emitter = new EventEmitter();
    const done = stage.run(eventDriver({ it: { emitter, event: 'x' } }), stage.subscriber('a', 'it'));
    await settled();
    emitter.emit('error', Object.assign(new Error('no'), { code: 'EIO' }));
    await done;
    assert.deepEqual(stage.told, ['a: there', 'a: gone, withdrawn EIO']);
    assert.equal(listeners(emitter), 0);
  });
});

describe('events of Evts', () => {
  test('are taken while somebody wants them, and not one more', async () => {
    const stage = new EventStage();
    const mailbox = new Mailbox<string>();
    stage.space.spawn(eventDriver({ mail: mailbox }));
    const leave = Promise.withResolvers<void>();
    const done = stage.run((self) => {
      self.subscribe(sourceEvent('mail', _), stage.hear('a'));
      self.async(leave.promise, () => self.quit());
    });
    await settled();
    assert.equal(mailbox.watched, 1);
    mailbox.put('one');
    mailbox.put('two');
    await settled();
    leave.resolve();
    await done;
    assert.equal(mailbox.watched, 0);
    mailbox.put('three');
    await settled();
    assert.deepEqual([mailbox.taken, mailbox.letters], [2, ['three']]);
    await stage.run(stage.subscriber('b', 'mail', (self) => self.quit()));
    assert.deepEqual(stage.told, ['a: there', 'a: "one"', 'a: "two"', 'b: there', 'b: "three"']);
    assert.equal(mailbox.taken, 3);
  });

  test('wait by the clock of the scope in which the driver was made', async () => {
    const clock = new VirtualClock();
    const scope = new Scope({ clock });
    await scope.run(async () => {
      const stage = new EventStage();
      const driver = eventDriver({ tick: { source: after(1_000), map: () => clock.now() } });
      const done = stage.run(
        driver,
        stage.subscriber('a', 'tick', (self, value) => value === 3_000 && self.quit()),
      );
      await clock.run(done);
      assert.deepEqual(stage.told, ['a: there', 'a: 1000', 'a: 2000', 'a: 3000']);
      assert.equal(clock.now(), 3_000);
    });
    assert.deepEqual((await scope.close()).open, []);
  });
});

describe('what is wrong with the sources', () => {
  test('is said at once, all of it', () => {
    assert.throws(
      () =>
        eventDriver({
          one: [] as never,
          two: { emitter: new EventEmitter(), event: '', limit: 0 },
          three: { source: 5 as never, map: String },
        }),
      (error: Error & { code: string; problems: readonly { path: string }[] }) => {
        assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
        assert.deepEqual(error.problems.map(({ path }) => path).toSorted(), [
          'sources.one',
          'sources.three.source',
          'sources.two.event',
          'sources.two.limit',
        ]);
        return true;
      },
    );
    assert.throws(() => eventDriver(undefined as never), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

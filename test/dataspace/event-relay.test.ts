import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventDriver } from '../../src/dataspace/drivers/event-driver.ts';
import { eventRelay } from '../../src/dataspace/drivers/event-relay.ts';
import { sourceEvent, sourceFailed } from '../../src/dataspace/drivers/event-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import type { SpaceReport } from '../../src/dataspace/inspect.ts';
import { EventStage, settled, Tap } from './event-stage.ts';

/** A nested space with a relay and others in it. */
function nested(...boots: readonly Boot[]): Boot {
  return (self) =>
    self.spawnSpace((inner) => {
      inner.spawn(eventRelay());
      for (const boot of boots) inner.spawn(boot);
    });
}

/** How many subscribe to sources on the ground. */
function subscriptions({ actors }: SpaceReport): number {
  return actors
    .flatMap(({ endpoints }) => endpoints)
    .filter(({ topic, orientation, interest }) => {
      return orientation === 'subscriber' && interest === 'participant' && sourceEvent.is(topic);
    }).length;
}

describe('an event relay', () => {
  test('brings what comes outside to all within who want it, by one subscription, with its beginning and its end', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const done = stage.run(
      eventDriver({ tap }),
      nested(
        stage.subscriber('a', 'tap'),
        stage.subscriber('b', 'tap', (self) => self.quit()),
      ),
    );
    await settled();
    assert.equal(subscriptions(stage.space.inspect()), 1);
    tap.give('one');
    await settled();
    // One has left; the other still hears.
    assert.equal(subscriptions(stage.space.inspect()), 1);
    tap.give('two');
    await settled();
    tap.end();
    await done;
    const of = (who: string): string[] => stage.told.filter((line) => line.startsWith(who));
    assert.deepEqual(of('a'), ['a: there', 'a: "one"', 'a: "two"', 'a: gone, withdrawn']);
    assert.deepEqual(of('b'), ['b: there', 'b: "one"']);
  });

  test('wants nothing outside when nobody within does, and the space can come to rest', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    tap.give('one', 'two');
    await stage.run(
      eventDriver({ tap }),
      nested(stage.subscriber('a', 'tap', (self) => self.quit())),
      nested((self) => self.observePublishers(sourceEvent('tap', _), stage.hear('observer'))),
    );
    assert.deepEqual(stage.told, ['a: there', 'a: "one"']);
    assert.equal(subscriptions(stage.space.inspect()), 0);
  });

  test('passes on that all have dealt with what came, through two spaces', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const work: (() => void)[] = [];
    const done = stage.run(
      eventDriver({ tap }),
      stage.subscriber('ground', 'tap'),
      nested(nested(stage.subscriber('inner', 'tap', () => new Promise<void>((resolve) => work.push(resolve))))),
    );
    await settled();
    tap.give(1, 2);
    tap.end();
    for (let asked = 1; asked <= 2; asked++) {
      await settled();
      // The one that waits on the ground has heard this one, and not the next.
      assert.equal(stage.told.filter((line) => line.startsWith('ground')).length, asked + 1);
      assert.equal(tap.asked, asked);
      work.shift()?.();
    }
    await done;
    assert.deepEqual(
      stage.told.filter((line) => line.startsWith('inner')),
      ['inner: there', 'inner: 1', 'inner: 2', 'inner: gone, withdrawn'],
    );
  });

  test('shows failures within, of sources that failed and of those that there are not, while they are wanted', async () => {
    const stage = new EventStage();
    const tap = new Tap();
    const leave = Promise.withResolvers<void>();
    const done = stage.run(
      eventDriver({ tap }),
      nested(stage.failures('watcher'), stage.subscriber('a', 'tap', undefined), (self) => {
        self.subscribe(sourceEvent('unknown', _));
        self.async(leave.promise, () => self.quit());
      }),
      nested(stage.failures('elsewhere')),
    );
    await settled();
    tap.fail(Object.assign(new Error('no'), { code: 'EIO' }));
    await settled();
    leave.resolve();
    await done;
    assert.deepEqual(stage.told.toSorted(), [
      'a: gone, withdrawn EIO',
      'a: there',
      'watcher: tap failed, EIO',
      'watcher: unknown failed, ERR_PORTSIDE_OPTIONS',
      'watcher: unknown no longer failed',
    ]);
  });

  test('shows one publisher for any number outside, and goes with the last of them, for its reason', async () => {
    const stage = new EventStage();
    const publisher =
      (leave: Promise<void>, end: () => void): Boot =>
      (self) => {
        self.publish(sourceEvent('it', _));
        self.async(leave, () => {
          end();
          self.quit('bye');
        });
      };
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const done = stage.run(
      publisher(first.promise, () => {}),
      publisher(second.promise, () => assert.fail('broken')),
      nested(stage.subscriber('a', 'it')),
    );
    await settled();
    first.resolve();
    await settled();
    assert.deepEqual(stage.told, ['a: there']);
    second.resolve();
    await done;
    assert.deepEqual(stage.told, ['a: there', 'a: gone, withdrawn ERR_ASSERTION']);
  });

  test('shows no failure that is over outside', async () => {
    const stage = new EventStage();
    const over = Promise.withResolvers<void>();
    const done = stage.run(
      (self) => {
        const failed = self.publish(sourceFailed('it', 'EIO', 'no'));
        self.publish(sourceFailed('other', 'EIO', 'not asked for'));
        self.async(over.promise, () => failed.withdraw());
      },
      nested(stage.failures('watcher'), stage.subscriber('a', 'it')),
    );
    await settled();
    assert.deepEqual(stage.told, ['watcher: it failed, EIO']);
    over.resolve();
    await done;
    assert.deepEqual(stage.told, ['watcher: it failed, EIO', 'watcher: it no longer failed']);
  });

  test('fails on the ground, at once', async () => {
    const stage = new EventStage();
    stage.space.spawn(eventRelay());
    const { failures } = await stage.space.run();
    const [reason] = failures.map((end) => end.reason);
    assert.equal(reason?.kind === 'failed' && reason.error.code, 'ERR_PORTSIDE_STATE');
  });
});

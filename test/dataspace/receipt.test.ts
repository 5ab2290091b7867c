import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { _ } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import { sendTracked } from '../../src/dataspace/self.ts';
import type { Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';

const says = record('says', ['what']).of<{ what: string }>();

/** A space in which one sends once the others are there, and what happened in it. */
class Stage {
  readonly space: Dataspace = new Dataspace();
  readonly told: string[] = [];

  subscriber(name: string, hear: (self: Self) => unknown): void {
    this.space.spawn(
      (self) =>
        self.subscribe(says(_), {
          onMessage: () => {
            this.told.push(name);
            return hear(self);
          },
        }),
      { name },
    );
  }

  async send(): Promise<string[]> {
    this.space.spawn((self) => sendTracked(self, says('hello'), () => this.told.push('taken')));
    await this.space.run();
    return this.told;
  }
}

describe('a message whose taking is told', () => {
  test('is taken when everybody has dealt with it', async () => {
    const stage = new Stage();
    stage.subscriber('one', () => {});
    stage.subscriber('two', () => {});
    assert.deepEqual(await stage.send(), ['one', 'two', 'taken']);
  });

  test('is taken at once where it is for nobody', async () => {
    assert.deepEqual(await new Stage().send(), ['taken']);
  });

  test('is not taken while a handler is still at work on it', async () => {
    const stage = new Stage();
    const work = Promise.withResolvers<void>();
    stage.subscriber('slow', () => work.promise);
    stage.subscriber('quick', () => {});
    const done = stage.send();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(stage.told, ['slow', 'quick']);
    work.resolve();
    await done;
    assert.deepEqual(stage.told, ['slow', 'quick', 'taken']);
  });

  test('is taken by one that fails over it, sooner or later, and by one that ends with it unread', async () => {
    const stage = new Stage();
    stage.subscriber('throws', () => {
      throw new Error('no');
    });
    stage.subscriber('rejects', () => Promise.reject(new Error('no')));
    stage.subscriber('ends', (self) => self.quit());
    assert.deepEqual(await stage.send(), ['throws', 'rejects', 'ends', 'taken']);

    const other = new Stage();
    const { space, told } = other;
    space.spawn((self) => {
      self.subscribe(says(_), { onMessage: () => told.push('heard') });
      // The first message ends it with the second before it.
      self.subscribe(says('bye'), { onMessage: () => self.quit() });
    });
    space.spawn((self) => {
      self.send(says('bye'));
      sendTracked(self, says('lost'), () => told.push('taken'));
    });
    await space.run();
    assert.deepEqual(told.filter((what) => what === 'taken').length, 1);
    assert.ok(told.filter((what) => what === 'heard').length <= 1);
  });

  test('is taken when the actor that is still at work on it is ended, and when the space is', async () => {
    const stage = new Stage();
    stage.subscriber('never', () => new Promise(() => {}));
    const done = stage.send();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(stage.told, ['never']);
    stage.space.end();
    await done;
    assert.deepEqual(stage.told, ['never', 'taken']);
  });

  test('is never sent, and so never taken, when the turn throws', async () => {
    const stage = new Stage();
    stage.subscriber('one', () => {});
    stage.space.spawn((self) => {
      sendTracked(self, says('hello'), () => stage.told.push('taken'));
      throw new Error('no');
    });
    await stage.space.run();
    assert.deepEqual(stage.told, []);
  });
});

describe('a message that was for no participant', () => {
  test('is told as missed at once, and not as taken, when it was only watched', async () => {
    const stage = new Stage();
    stage.space.spawn((self) => self.observePublishers(says(_), { onMessage: () => stage.told.push('watched') }));
    stage.space.spawn((self) =>
      sendTracked(
        self,
        says('hello'),
        () => stage.told.push('taken'),
        () => stage.told.push('missed'),
      ),
    );
    await stage.space.run();
    assert.deepEqual(stage.told, ['missed', 'watched']);
  });

  test('is taken where one takes part', async () => {
    const stage = new Stage();
    stage.subscriber('one', () => {});
    stage.space.spawn((self) =>
      sendTracked(
        self,
        says('hello'),
        () => stage.told.push('taken'),
        () => stage.told.push('missed'),
      ),
    );
    await stage.space.run();
    assert.deepEqual(stage.told, ['one', 'taken']);
  });
});

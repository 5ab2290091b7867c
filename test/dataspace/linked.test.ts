import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

describe('a linked actor whose end is told', () => {
  test('does not end the one that started it by its failure, and is told in a turn of that one', async () => {
    const space = new Dataspace();
    const told: EndReason[] = [];
    const heard: unknown[] = [];
    space.spawn((self) => self.subscribe('told', { onMessage: ({ topic }) => heard.push(topic) }));
    space.spawn((self) => {
      self.publish('alive');
      const onEnd = (reason: EndReason): void => {
        told.push(reason);
        self.send('told');
      };
      self.spawnLinked(() => assert.fail('broken'), { onEnd });
      self.spawnLinked(() => 0, { onEnd });
      self.spawnLinked((child) => child.spawnLinked(() => assert.fail('below')), { onEnd });
    });
    const { failed } = await space.run();
    assert.equal(failed, 3);
    assert.deepEqual(told.map(({ kind }) => kind).toSorted(), ['done', 'failed', 'linked']);
    assert.deepEqual(heard, ['told', 'told', 'told']);
    assert.equal(space.inspect().actors.length, 2);
  });

  test('ends when the one that started it does, which is then told nothing', async () => {
    const space = new Dataspace();
    const told: EndReason[] = [];
    const parent = space.spawn((self) => {
      self.publish('parent');
      self.spawnLinked((child) => child.publish('child'), { onEnd: (reason) => told.push(reason) });
    });
    await space.run();
    space.spawn((self) => self.quit(parent, 'enough'));
    await space.run();
    assert.deepEqual([told, space.inspect().actors], [[], []]);
  });

  test('is told of to one that has nothing else to live for', async () => {
    const space = new Dataspace();
    const told: string[] = [];
    space.spawn((self) => self.spawnLinked(() => 0, { onEnd: ({ kind }) => told.push(kind) }));
    await space.run();
    assert.deepEqual([told, space.inspect().actors], [['done'], []]);
  });

  test('goes by the clock of the space, as all do', async () => {
    const clock = new VirtualClock();
    const space = new Scope({ parent: null, clock }).run(() => new Dataspace());
    space.spawn((self) => assert.equal(self.clock, clock));
    assert.equal((await clock.run(space.run())).failed, 0);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { _ } from '../../src/dataspace/hole.ts';
import type { OuterSpace } from '../../src/dataspace/outer.ts';
import { sendTracked } from '../../src/dataspace/self.ts';
import type { Boot, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { pause, room, says, Stage } from './nested-stage.ts';

describe('spaces in spaces', () => {
  test('an actor reaches each space around it', async () => {
    const stage = new Stage();
    const outer: OuterSpace[] = [];
    await stage.run(
      (self) => self.subscribe(_, stage.watch('ground')),
      (self) =>
        self.spawnSpace((middle) => {
          middle.subscribe(_, stage.watch('middle'));
          middle.spawnSpace((inner) => {
            inner.atMeta.send(says('inner', 'to the middle'));
            inner.atMeta.atMeta.send(says('inner', 'to the ground'));
            inner.atMeta.atMeta.publish(room('a'));
            outer.push(inner.atMeta.atMeta);
            inner.async(pause().then(pause), () => inner.quit('bye'));
          });
        }),
    );
    assert.deepEqual(stage.told.toSorted(), [
      'ground: absent, quit bye',
      'ground: present',
      'ground: to the ground',
      'middle: to the middle',
    ]);
    assert.throws(() => outer[0]?.atMeta, { code: 'ERR_PORTSIDE_STATE' });
  });

  for (const [what, quit] of [
    ['the middle', (middle: Self) => middle.atMeta.quit('over')],
    ['the inner one, from the middle', (middle: Self, id: number) => middle.quit(id, 'over')],
  ] as const)
    test(`when ${what} ends, what those within it have on the ground goes, and they see the ground go`, async () => {
      const stage = new Stage();
      await stage.run(
        (self) => {
          self.subscribe(room(_), stage.watch('ground'));
          self.publish(says('ground', _));
        },
        (self) =>
          self.spawnSpace((middle) => {
            const id = middle.spawnSpace((inner) => {
              const watch = stage.watch('inner');
              const ready = (): void => inner.atMeta.send(says('inner', 'ready'));
              inner.subscribe(room(_));
              inner.atMeta.atMeta.publish(room('a'));
              inner.atMeta.atMeta.subscribe(says(_, _), {
                ...watch,
                onPresence: (event) => {
                  watch.onPresence(event);
                  ready();
                },
              });
            });
            middle.subscribe(says('inner', 'ready'), { onMessage: () => quit(middle, id) });
          }),
      );
      assert.deepEqual(stage.told.map((line) => line.split(',').at(0) ?? '').toSorted(), [
        'ground: absent',
        'ground: present',
        'inner: absent',
        'inner: present',
      ]);
    });
});

describe('what is asked of the space around', () => {
  test('starts and ends actors there', async () => {
    const stage = new Stage();
    await stage.run((self) =>
      self.spawnSpace((inner) => {
        const id = inner.atMeta.spawn((around) => around.subscribe(says(_, _), stage.watch('around')), {
          name: 'helper',
        });
        inner.async(pause().then(pause), () => {
          inner.atMeta.send(says('inner', 'hello'));
          inner.async(pause().then(pause), () => inner.atMeta.quit(id, 'thanks'));
        });
      }),
    );
    assert.deepEqual(stage.told, ['around: hello']);
    const helper = stage.ends.find(({ name }) => name === 'helper');
    assert.deepEqual(helper?.space, []);
    assert.equal(helper?.reason.kind, 'quit');
  });

  test('is wrong outside of a turn, on the ground, and with what is no topic, and says so at once', async () => {
    const stage = new Stage();
    const { told } = stage;
    let kept: OuterSpace | undefined;
    await stage.run((self) => {
      assert.throws(() => self.atMeta, { code: 'ERR_PORTSIDE_STATE' });
      self.spawnSpace((inner) => {
        kept = inner.atMeta;
        inner.subscribe(room(_));
        assert.throws(() => inner.atMeta.send(new Date() as never), { code: 'ERR_PORTSIDE_TOPIC' });
        assert.throws(() => inner.atMeta.subscribe(_, {}, { interst: 'x' } as never), { code: 'ERR_PORTSIDE_OPTIONS' });
        assert.throws(() => inner.atMeta.quit('1' as never, undefined), { code: 'ERR_PORTSIDE_OPTIONS' });
        told.push('checked');
      });
    });
    assert.deepEqual(told, ['checked']);
    for (const ask of [() => kept?.send(1), () => kept?.publish(1), () => kept?.quit(), () => kept?.spawn(() => {})])
      assert.throws(ask, { code: 'ERR_PORTSIDE_STATE' });
  });

  test('a message counts as taken when the actors within have dealt with it', async () => {
    const stage = new Stage();
    const { space, told } = stage;
    const work = Promise.withResolvers<void>();
    space.spawn((self) =>
      self.spawnSpace((inner) =>
        inner.atMeta.subscribe(says(_, _), {
          onMessage: () => {
            told.push('heard');
            return work.promise;
          },
        }),
      ),
    );
    await space.run();
    space.spawn((self) => sendTracked(self, says('a', 'b'), () => told.push('taken')));
    const done = space.run();
    await pause();
    await pause();
    assert.deepEqual(told, ['heard']);
    work.resolve();
    await done;
    assert.deepEqual(told, ['heard', 'taken']);
  });
});

describe('the limits of a space', () => {
  test('one actor or endpoint too many throws, in each space for itself', async () => {
    const told: string[] = [];
    const space = new Dataspace({ maxActors: 3, maxEndpoints: 3 });
    const fill =
      (where: string): Boot =>
      (self) => {
        for (let i = 0; i < 5; i++)
          try {
            self.publish(room(`${i}`));
            told.push(`${where} endpoint`);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'ERR_PORTSIDE_LIMIT');
          }
        for (let i = 0; i < 5; i++)
          try {
            self.spawn((one) => one.async(pause()));
            told.push(`${where} actor`);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'ERR_PORTSIDE_LIMIT');
          }
      };
    space.spawn((self) => {
      self.spawnSpace(fill('inner'));
      fill('outer')(self);
    });
    await space.run();
    const count = (what: string): number => told.filter((line) => line === what).length;
    // The one that asks is an actor too, and the space that it starts is one.
    assert.deepEqual(['outer endpoint', 'outer actor', 'inner endpoint', 'inner actor'].map(count), [3, 1, 3, 2]);
  });
});

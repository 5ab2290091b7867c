import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { _ } from '../../src/dataspace/hole.ts';
import { pause, room, says, Stage } from './nested-stage.ts';
import type { Boot, Self } from '../../src/dataspace/self.ts';

describe('a nested space', () => {
  test('meets the space around by what its actors ask for there', async () => {
    const stage = new Stage();
    const inner: Boot = (self) => {
      self.atMeta.subscribe(says('out', _), stage.watch('inner'));
      self.atMeta.publish(says('in', _), stage.watch('inner talks'));
      self.atMeta.send(says('in', 'from within'));
      self.atMeta.feedback(says('out', 'heard'));
    };
    await stage.run(
      (self) => {
        self.subscribe(says('in', _), stage.watch('outer'));
        self.publish(says('out', _), {
          ...stage.watch('outer talks'),
          onPresence: () => self.send(says('out', 'hello')),
        });
        self.feedback(says('in', 'nobody is there yet'));
      },
      (self) => self.spawnSpace(inner),
    );
    assert.deepEqual(
      new Set(stage.told),
      new Set([
        'inner: present',
        'inner: hello',
        'inner talks: present',
        'outer: present',
        'outer: from within',
        'outer talks: heard',
      ]),
    );
  });

  test('keeps what is asked for within to itself', async () => {
    const stage = new Stage();
    await stage.run(
      (self) => self.subscribe(_, stage.watch('outer')),
      (self) =>
        self.spawnSpace((inner) => {
          inner.subscribe(says(_, _), stage.watch('inner'));
          inner.send(says('ann', 'psst'));
        }),
    );
    assert.deepEqual(stage.told, ['inner: psst']);
  });

  test('asks for all of a turn together, and for none of a turn that throws', async () => {
    const stage = new Stage();
    await stage.run(
      (self) => self.subscribe(_, stage.watch('outer')),
      (self) =>
        self.spawnSpace((inner) => {
          inner.spawn((one) => {
            one.atMeta.publish(room('a'));
            one.atMeta.send(says('one', 'lost'));
            throw new Error('no');
          });
          inner.spawn((one) => {
            const handle = one.atMeta.publish(room('b'));
            one.atMeta.send(says('one', 'kept'));
            handle.withdraw();
          });
        }),
    );
    assert.deepEqual(stage.told, ['outer: kept']);
    assert.deepEqual(stage.ends.map(({ reason }) => reason.kind).toSorted(), [
      'done',
      'done',
      'done',
      'done',
      'failed',
    ]);
  });

  test('takes back what an actor has around when that ends, for its reason', async () => {
    const stage = new Stage();
    await stage.run(
      (self) => self.subscribe(room(_), stage.watch('outer')),
      (self) =>
        self.spawnSpace((inner) => {
          inner.subscribe(says(_, _));
          const id = inner.spawn((one) => one.atMeta.publish(room('b')));
          inner.async(pause().then(pause), () => inner.quit(id, 'tired'));
        }),
    );
    assert.deepEqual(stage.told, ['outer: present', 'outer: absent, quit tired']);
  });

  test('withdraws and replaces there by handle and by name, as within', async () => {
    const stage = new Stage();
    const ids: number[] = [];
    await stage.run(
      (self) => self.subscribe(room(_), stage.watch('outer')),
      (self) =>
        self.spawnSpace((inner) => {
          ids.push(inner.atMeta.publish(room('a'), undefined, { name: 'it' }).id);
          inner.async(pause().then(pause), () => {
            const handle = inner.atMeta.publish(room('b'), undefined, { name: 'it' });
            ids.push(handle.id);
            inner.async(pause().then(pause), () => {
              inner.atMeta.publish(room('b'), undefined, { name: 'it' });
              inner.async(pause().then(pause), () => handle.withdraw('over'));
            });
          });
        }),
    );
    assert.equal(ids[0], ids[1]);
    assert.deepEqual(stage.told, [
      'outer: present',
      'outer: present',
      'outer: absent, replaced',
      'outer: absent, withdrawn over',
    ]);
  });

  test('keeps the name of what it withdraws and asks for again in one turn', async () => {
    const ids = async (nested: boolean): Promise<number[]> => {
      const seen: number[] = [];
      const stage = new Stage();
      const member: Boot = (self) => {
        const on = nested ? self.atMeta : self;
        const handle = on.publish(room('a'), undefined, { name: 'it' });
        self.async(pause().then(pause), () => {
          handle.withdraw();
          seen.push(handle.id, on.publish(room('b'), undefined, { name: 'it' }).id);
          self.async(pause().then(pause), () => seen.push(on.publish(room('c'), undefined, { name: 'it' }).id));
        });
      };
      await stage.run((self) => (nested ? self.spawnSpace(member) : self.spawn(member)));
      const there = stage.space.inspect().actors.flatMap(({ endpoints }) => endpoints.map(({ topic }) => topic));
      assert.deepEqual(there, [room('c')]);
      return seen;
    };
    assert.deepEqual(await ids(true), await ids(false));
  });

  test('hears nothing more by an endpoint that it has withdrawn', async () => {
    const stage = new Stage();
    let handle: { withdraw(): void } | undefined;
    await stage.run(
      (self) => {
        self.publish(room('a'));
        self.subscribe(says(_, _), { onMessage: () => [1, 2, 3].forEach((n) => self.send(room(`${n}`))) });
      },
      (self) =>
        self.spawnSpace((inner) => {
          handle = inner.atMeta.subscribe(room(_), {
            onMessage: ({ topic }) => {
              stage.told.push(topic.name);
              handle?.withdraw();
            },
          });
          inner.atMeta.send(says('inner', 'go'));
        }),
    );
    assert.deepEqual(stage.told, ['1']);
  });

  test('ends when its last actor has, and not for being idle', async () => {
    const stage = new Stage();
    const { space, told, ends } = stage;
    space.spawn((self) => {
      self.observePublishers(room(_), stage.watch('outer'));
    });
    space.spawn((self) =>
      self.spawnSpace((inner) => {
        inner.publish(room('within'));
        const quiet = inner.spawn((one) => one.subscribe(room(_)));
        inner.atMeta.subscribe(says('end', _), { onMessage: () => inner.quit(quiet, 'told to') });
        inner.atMeta.subscribe(says('end all', _), { onMessage: () => inner.quit() });
      }),
    );
    assert.equal((await space.run()).state, 'idle');
    const actors = (): number[] => space.inspect().actors.map(({ space: within }) => within?.actors.length ?? 0);
    assert.deepEqual(actors(), [0, 2]);
    // Nothing within could have woken it; what is around can.
    space.spawn((self) => self.send(says('end', '')));
    await space.run();
    assert.deepEqual(actors(), [0, 1]);
    space.spawn((self) => self.send(says('end all', '')));
    await space.run();
    assert.deepEqual(actors(), [0]);
    assert.deepEqual(told, []);
    assert.deepEqual(
      ends.filter(({ space: path }) => path.length > 0).map(({ reason }) => reason.kind),
      ['quit', 'quit'],
    );
  });

  test('whose first actor fails is over, and nobody else is harmed', async () => {
    const stage = new Stage();
    const { space, ends } = stage;
    let id = 0;
    space.spawn((self) => {
      self.subscribe(room(_));
      id = self.spawnSpace(
        () => {
          throw new Error('no boot');
        },
        { name: 'nest' },
      );
    });
    const summary = await space.run();
    assert.equal(summary.failed, 1);
    assert.deepEqual(
      ends.map(({ name, space: path, reason }) => [name, path, reason.kind]),
      [
        [undefined, [id], 'failed'],
        ['nest', [], 'done'],
      ],
    );
    assert.equal(space.inspect().actors.length, 1);
  });

  test('lets run() wait for what its actors wait for', async () => {
    const { space, told } = new Stage();
    space.spawn((self) =>
      self.spawnSpace((inner) => {
        inner.subscribe(room(_));
        inner.async(pause(), () => {
          told.push('promise');
          const source = inner.outside();
          setTimeout(() => {
            source.enter(() => told.push('outside'));
            source.release();
          }, 5);
        });
      }),
    );
    assert.equal((await space.run()).state, 'idle');
    assert.deepEqual(told, ['promise', 'outside']);
  });
});

describe('the end of a nested space', () => {
  const peer =
    (stage: Stage): Boot =>
    (self) => {
      self.publish(room('a'), stage.watch('outer'));
      self.publish(room('b'));
    };

  function seer(stage: Stage, then: (self: Self) => void = () => {}): Boot {
    return (self) =>
      self.spawnSpace(
        (inner) => {
          inner.atMeta.subscribe(room('a'), stage.watch('inner'));
          inner.spawn(
            (other) => {
              other.subscribe(says(_, _), stage.watch('other'));
              other.atMeta.observePublishers(room(_), stage.watch('observer'));
            },
            { name: 'other' },
          );
          then(inner);
        },
        { name: 'nest' },
      );
  }

  const absences = ['inner: absent, quit over', 'observer: absent, quit over', 'observer: absent, quit over'];

  test('when it is quit from around, its actors see everybody around go, and then end', async () => {
    const stage = new Stage();
    const { space, told, ends } = stage;
    await stage.run(peer(stage), seer(stage));
    told.length = 0;
    const nest = space.inspect().actors.find(({ name }) => name === 'nest')?.id ?? 0;
    space.spawn((self) => self.quit(nest, 'over'));
    await space.run();
    assert.deepEqual(told.toSorted(), [...absences, 'outer: absent, quit over'].toSorted());
    const within = ends.filter(({ space: path }) => path.length > 0);
    assert.deepEqual(
      within.map(({ reason }) => reason),
      [
        { kind: 'stopped', detail: 'over' },
        { kind: 'stopped', detail: 'over' },
      ],
    );
    assert.deepEqual(
      space.inspect().actors.map(({ space: inner }) => inner),
      [undefined],
    );
  });

  test('when one within quits it, it is the same', async () => {
    const stage = new Stage();
    const { told } = stage;
    await stage.run(
      peer(stage),
      seer(stage, (inner) => inner.async(pause().then(pause), () => inner.atMeta.quit('over'))),
    );
    assert.deepEqual(told.slice(-4).toSorted(), [...absences, 'outer: absent, quit over'].toSorted());
  });

  test('when the space around ends, they see it too, and its end waits for theirs', async () => {
    const stage = new Stage();
    const { space, told } = stage;
    await stage.run(peer(stage), seer(stage));
    told.length = 0;
    space.end('over');
    const summary = await space.run();
    assert.equal(summary.state, 'ended');
    await space[Symbol.asyncDispose]();
    assert.deepEqual(told.toSorted(), absences.map((line) => line.replace('quit', 'stopped')).toSorted());
    assert.equal(space.inspect().actors.length, 0);
  });

  test('nobody is started in it any more, and what is sent out goes nowhere', async () => {
    const stage = new Stage();
    const { space, told, ends } = stage;
    await stage.run(peer(stage), (self) => {
      self.subscribe(says(_, _), stage.watch('around'));
      self.spawnSpace((inner) => {
        inner.atMeta.subscribe(room('a'), {
          onAbsence: () => {
            told.push('last words');
            inner.atMeta.send(says('inner', 'too late'));
            inner.spawn(() => told.push('started'), { name: 'late' });
          },
        });
        inner.async(pause().then(pause), () => inner.atMeta.quit());
      });
    });
    assert.deepEqual(
      told.filter((line) => !line.startsWith('outer')),
      ['last words'],
    );
    assert.equal(ends.find(({ name }) => name === 'late')?.reason.kind, 'stopped');
    assert.equal(space.inspect().actors.length, 2);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { OuterSpace } from '../../src/dataspace/outer.ts';
import type { Boot, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { pause, room } from './nested-stage.ts';

const MOST = 8;

/** How often it can be asked for until there is no room; what is said then is what is said on the ground. */
function until(ask: () => unknown, op: 'endpoint' | 'spawn'): number {
  for (let count = 0; count < 50; count++)
    try {
      ask();
    } catch (error) {
      assert.ok(isPortsideError(error));
      assert.equal(error.code, 'ERR_PORTSIDE_LIMIT');
      assert.equal(error.op, op);
      const what = op === 'spawn' ? 'actors' : 'endpoints';
      assert.equal(error.message, `the space has ${MOST} ${what}, and may not have more`);
      return count;
    }
  return 50;
}

const endpoints = (around: Self | OuterSpace): number => until(() => around.publish(room('it')), 'endpoint');
const actors = (around: Self | OuterSpace): number => until(() => around.spawn((one) => one.subscribe(0)), 'spawn');

/** The ground of an actor that is so many spaces within it. */
function groundOf(self: Self, depth: number): Self | OuterSpace {
  let ground: Self | OuterSpace = self;
  for (let i = 0; i < depth; i++) ground = ground.atMeta;
  return ground;
}

/** Starts a space in a space, so many, and actors in the last one. */
function within(depth: number, ...boots: Boot[]): Boot {
  return (self) => {
    if (depth > 0) self.spawnSpace(within(depth - 1, ...boots));
    else for (const boot of boots) self.spawn(boot);
    // So that the space does not end, and what it has on the ground goes with it, by the end of who asked only.
    self.subscribe(-1);
  };
}

/** How many endpoints and actors are on the ground, and how many more there can be. */
async function taken(space: Dataspace): Promise<{ readonly there: number[]; readonly room: number[] }> {
  await space.run();
  const report = space.inspect();
  const there = [report.actors.reduce((sum, one) => sum + one.endpoints.length, 0), report.actors.length];
  const left = [0, 0];
  space.spawn((self) => {
    left[0] = endpoints(self);
    left[1] = until(() => self.spawn(() => {}), 'spawn');
    throw new Error('no more than a question');
  });
  await space.run();
  // The one that asks has a place too.
  return { there, room: [left[0] ?? 0, (left[1] ?? 0) + 1] };
}

describe('the limits of a space, and those within spaces within it', () => {
  for (const depth of [0, 1, 2, 3]) {
    test(`one endpoint too many throws at once, ${depth} spaces within`, async () => {
      const space = new Dataspace({ maxEndpoints: MOST });
      const went: number[] = [];
      const greedy: Boot = (self) => void went.push(endpoints(groundOf(self, depth)));
      space.spawn(within(depth, greedy, greedy));
      const { there, room: left } = await taken(space);
      assert.deepEqual([there[0], left[0]], [MOST, 0]);
      // The first actor has one there.
      assert.deepEqual(went, [MOST - 1, 0]);
    });

    test(`one actor too many throws at once, ${depth} spaces within`, async () => {
      const space = new Dataspace({ maxActors: MOST });
      const went: number[] = [];
      const greedy: Boot = (self) => {
        self.subscribe(-2);
        went.push(actors(groundOf(self, depth)));
      };
      space.spawn(within(depth, greedy, greedy));
      await space.run();
      assert.equal(space.inspect().actors.length, MOST);
      // There are the first actor, and the one that stands for the space or, where there is none, those that ask.
      assert.deepEqual(went, [depth === 0 ? MOST - 3 : MOST - 2, 0]);
    });
  }

  test('in each space around it is the limit of that one', async () => {
    const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST });
    const went: number[] = [];
    space.spawn(
      within(2, (self) => void went.push(endpoints(self.atMeta), endpoints(self), endpoints(self.atMeta.atMeta))),
    );
    await space.run();
    assert.deepEqual(went, [MOST - 1, MOST - 1, MOST - 1]);
  });

  test('an endpoint in the place of another one, and messages, need no room', async () => {
    const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST });
    let rounds = 0;
    const swap = (self: Self): void => {
      for (let i = 0; i < 20; i++) {
        self.atMeta.publish(room(`${i}`), undefined, { name: 'same' });
        self.atMeta.send(room('message'));
      }
      rounds += 1;
      if (rounds < 3) self.async(pause(), () => swap(self));
      else endpoints(self.atMeta);
    };
    space.spawn(within(1, swap));
    assert.equal((await taken(space)).there[0], MOST);
    assert.equal(rounds, 3);
  });

  test('actors that are asked for within leave no room for those that are started from outside', async () => {
    const space = new Dataspace({ maxActors: MOST });
    const left = Promise.withResolvers<number>();
    space.spawn(
      within(1, (self) => {
        actors(self.atMeta);
        // Now their requests wait for a turn of the ground.
        void Promise.resolve()
          .then(() => {
            assert.equal(space.inspect().actors.length, 2);
            return until(() => space.spawn(() => {}), 'spawn');
          })
          .then(left.resolve, left.reject);
      }),
    );
    await space.run();
    assert.equal(await left.promise, 0);
  });
});

describe('what comes to nothing takes no room', () => {
  for (const depth of [1, 2])
    test(`of a turn that throws, ${depth} spaces within`, async () => {
      const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST });
      const wrong: Boot = (self) => {
        assert.equal(endpoints(groundOf(self, depth)), MOST - 1);
        assert.equal(actors(groundOf(self, depth)), MOST - 2);
        throw new Error('no');
      };
      space.spawn(within(depth, wrong, wrong));
      assert.deepEqual(await taken(space), { there: [1, 2], room: [MOST - 1, MOST - 2] });
    });

  for (const depth of [1, 2])
    test(`behind the end of its space, ${depth} spaces within`, async () => {
      const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST });
      let went = 0;
      const greedy: Boot = (self) => (went += endpoints(groundOf(self, depth)) + actors(groundOf(self, depth)));
      space.spawn(within(depth, (self) => self.atMeta.quit('over'), greedy));
      // All around is asked in order, and the space is gone by then.
      const rest = depth === 1 ? [1, 1] : [1, 2];
      assert.deepEqual(await taken(space), { there: rest, room: rest.map((count) => MOST - count) });
      assert.equal(went, MOST - 1 + MOST - 2);
    });

  test('of actors whose space is gone already', async () => {
    const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST });
    let went = 0;
    space.spawn((self) => {
      self.publish('around');
      const id = self.spawnSpace((inner) => {
        inner.atMeta.subscribe(_, { onAbsence: () => (went += endpoints(inner.atMeta)) });
      });
      self.async(pause().then(pause), () => self.quit(id, 'over'));
    });
    assert.deepEqual(await taken(space), { there: [1, 1], room: [MOST - 1, MOST - 1] });
    assert.ok(went > 0);
  });

  test('of a flood that ends who stands for the space', async () => {
    const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST, queueLimit: 3 });
    const one: Boot = (self) => {
      self.atMeta.publish(room('it'));
      self.atMeta.spawn((other) => other.subscribe(0));
    };
    space.spawn(within(1, one, one, one, one));
    const { there, room: left } = await taken(space);
    assert.deepEqual(there, [1, 1]);
    assert.deepEqual(left, [MOST - 1, MOST - 1]);
  });

  test('of endpoints and actors that were there and are gone', async () => {
    const space = new Dataspace({ maxActors: MOST, maxEndpoints: MOST });
    space.spawn(
      within(2, (self) => {
        const ground = groundOf(self, 2);
        const handles = Array.from({ length: MOST - 1 }, () => ground.publish(room('it')));
        until(() => ground.spawn(() => {}), 'spawn');
        self.async(pause().then(pause), () => handles.forEach((handle) => handle.withdraw()));
      }),
    );
    assert.deepEqual(await taken(space), { there: [1, 2], room: [MOST - 1, MOST - 2] });
  });
});

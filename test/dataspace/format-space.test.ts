import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatSpace } from '../../src/dataspace/format-space.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();

async function report(boots: readonly Boot[], options?: Parameters<typeof formatSpace>[1]): Promise<string[]> {
  const space = new Dataspace();
  for (const boot of boots) space.spawn(boot);
  await space.run();
  return formatSpace(space.inspect(), options).split('\n');
}

describe('a space as text', () => {
  test('shows the actors, their endpoints, and who meets whom', async () => {
    const space = new Dataspace();
    const started = Promise.withResolvers<void>();
    space.spawn((self) => self.publish(says('ann', _)), { name: 'ann' });
    space.spawn(
      (self) => {
        self.subscribe(says(_, _), {}, { name: 'ears' });
        self.observePublishers('nobody', {});
        self.spawnLinked((child) => {
          child.outside();
          started.resolve();
        });
      },
      { name: 'bob\n' },
    );
    const running = space.run();
    await started.promise;
    assert.deepEqual(formatSpace(space.inspect()).split('\n'), [
      'space: 3 actors, 3 turns, 1 outstanding',
      '  actor 1 "ann": nothing queued, nothing outstanding',
      '    publisher 1 says("ann", _)',
      '      meets subscriber 2 of actor 2 "bob\\n"',
      '  actor 2 "bob\\n": nothing queued, nothing outstanding',
      '    subscriber 2 "ears" says(_, _)',
      '      meets publisher 1 of actor 1 "ann" in says("ann", _)',
      '    subscriber 3 (observer) "nobody"',
      '  actor 3, linked to 2: nothing queued, 1 outstanding',
    ]);
    space.end();
    await running;
    assert.equal(formatSpace(space.inspect()), 'space: 0 actors, 3 turns, nothing outstanding');
  });

  test('shows nested spaces beneath those that stand for them, each with its own numbers', async () => {
    assert.deepEqual(
      await report([
        (self) =>
          self.spawnSpace(
            (inner) => {
              inner.subscribe('a');
              inner.publish('a');
              inner.atMeta.publish('b');
            },
            { name: 'room' },
          ),
        (self) => self.subscribe('b'),
      ]),
      [
        'space: 2 actors, 4 turns, nothing outstanding',
        '  actor 2: nothing queued, nothing outstanding',
        '    subscriber 1 "b"',
        '      meets publisher 2 of actor 3 "room"',
        '  actor 3 "room": nothing queued, nothing outstanding',
        '    publisher 2 "b"',
        '      meets subscriber 1 of actor 2',
        '    space: 1 actor, 1 turn, nothing outstanding',
        '      actor 1: nothing queued, nothing outstanding',
        '        subscriber 1 "a"',
        '          meets publisher 2 of actor 1',
        '        publisher 2 "a"',
        '          meets subscriber 1 of actor 1',
      ],
    );
  });

  test('says no more of peers and topics than it may', async () => {
    const lines = await report(
      [
        (self) => self.publish(says('x'.repeat(60), _)),
        (self) => {
          for (let i = 0; i < 5; i++) self.subscribe(says(_, _));
        },
      ],
      { peers: 2, limit: 20 },
    );
    assert.deepEqual(lines.slice(2, 6), [
      '    publisher 1 says("xxxxxxxxxxxxx…',
      '      meets subscriber 2 of actor 2',
      '      meets subscriber 3 of actor 2',
      '      meets 3 more',
    ]);
    for (const line of lines) assert.ok(line.length < 90);
    assert.throws(() => formatSpace(new Dataspace().inspect(), { peers: -1 }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

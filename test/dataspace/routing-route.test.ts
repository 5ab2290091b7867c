import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { _ } from '../../src/dataspace/hole.ts';
import { Pattern, toTopic } from '../../src/dataspace/pattern.ts';
import { record } from '../../src/dataspace/record.ts';
import { RoutingIndex } from '../../src/dataspace/routing-index.ts';
import type { RoutingEntry } from '../../src/dataspace/routing-index.ts';
import { Route } from '../../src/dataspace/routing-route.ts';
import type { Found } from '../../src/dataspace/routing-search.ts';
import type { Boot, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Datum, Topic } from '../../src/dataspace/topic-types.ts';
import { overlaps } from '../../src/dataspace/unify.ts';
import type { Value } from '../../src/dataspace/value.ts';
import { isGroundPlain, plainTopics, realTopic } from './plain-topics.ts';
import { held } from '../support/memory.ts';

const says = record('says', ['to', 'what']);
const at = record('at', ['host', 'port']);

function add(index: RoutingIndex<number>, topic: Topic, value: number, hears = true): RoutingEntry<number> {
  return index.add(new Pattern(topic), value, hears);
}

/** Those whom a sender's message goes to, and whether the index was asked for them. */
function send(index: RoutingIndex<number>, route: Route<number>, message: Topic): { to: number[]; asked: boolean } {
  const value = toTopic(message) as unknown as Value;
  const leads = route.leads(index, value);
  let answer: Found<number> = route;
  if (!leads) {
    const fresh = index.find(value);
    route.keep(index, value, fresh);
    answer = fresh;
  }
  const entries = answer.found.slice(0, answer.count) as RoutingEntry<number>[];
  return { to: entries.filter(({ hears }) => hears).map((entry) => entry.value), asked: !leads };
}

type Step =
  | { readonly step: 'add'; readonly topic: Topic; readonly hears: boolean }
  | { readonly step: 'remove' | 'turn' | 'change'; readonly which: number }
  | { readonly step: 'send'; readonly message: Topic };

/** Messages of few kinds, so that most are like the one before; their records and bytes are the same objects again and again. */
const shared = [Uint8Array.of(1), Uint8Array.of(1)] as const;
const parts: readonly Datum[] = [
  ...[1, 2, -0, Number.NaN, 'x', 'y', true, null, 'long'.repeat(100)],
  ...[at('a', 1), at('a', 2), at('b', shared[0]), shared[1], Uint8Array.of(2), [1], [at('a', 1)]],
];
const patterns: readonly Topic[] = [...parts, _, _, _, at(_, 1), at('a', _), at(_, _), at('b', Uint8Array.of(1)), [_]];

const few: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc
      .record({ to: fc.constantFrom(...patterns), what: fc.constantFrom(...patterns), hears: fc.boolean() })
      .map(({ to, what, hears }): Step => ({ step: 'add', topic: says(to, what), hears })),
    weight: 2,
  },
  { arbitrary: fc.record({ step: fc.constantFrom('remove', 'turn', 'change'), which: fc.nat() }), weight: 1 },
  {
    arbitrary: fc
      .record({ to: fc.constantFrom(...parts), what: fc.constantFrom(...parts) })
      .map(({ to, what }): Step => ({ step: 'send', message: says(to, what) })),
    weight: 6,
  },
);

const any: fc.Arbitrary<Step> = fc.oneof(
  plainTopics({ holes: true }).map((topic): Step => ({ step: 'add', topic: realTopic(topic), hears: true })),
  plainTopics({ holes: false })
    .filter(isGroundPlain)
    .map((topic): Step => ({ step: 'send', message: realTopic(topic) })),
);

/** Every message is sent twice, beside a list that is scanned from end to end. */
function assertLikeAScan(steps: readonly Step[]): void {
  const index = new RoutingIndex<number>();
  const route = new Route<number>();
  const all: { readonly id: number; readonly pattern: Pattern; readonly entry: RoutingEntry<number> }[] = [];
  for (const [id, step] of steps.entries()) {
    if (step.step === 'add') {
      const pattern = new Pattern(step.topic);
      all.push({ id, pattern, entry: index.add(pattern, id, step.hears) });
    } else if (step.step === 'send') {
      const expected = all
        .filter(({ pattern, entry }) => entry.hears && overlaps(pattern.topic, step.message))
        .map((each) => each.id);
      assert.deepEqual(send(index, route, step.message).to, expected);
      assert.deepEqual(send(index, route, step.message).to, expected);
    } else if (step.step === 'change') {
      // Whoever sends bytes may write to them, and then they are others.
      shared[step.which & 1]![0] = (step.which % 3) + 1;
    } else {
      const which = all[step.which % Math.max(all.length, 1)];
      if (which === undefined) continue;
      if (step.step === 'turn') index.hear(which.entry, !which.entry.hears);
      else assert.ok(index.remove(all.splice(all.indexOf(which), 1)[0]!.entry));
    }
  }
}

describe('the way of a message', () => {
  test('leads to those that a scan of all finds, whoever comes, goes or changes', () => {
    fc.assert(fc.property(fc.array(few, { maxLength: 200, size: 'max' }), assertLikeAScan), { numRuns: 200 });
    fc.assert(fc.property(fc.array(any, { maxLength: 80, size: 'max' }), assertLikeAScan), { numRuns: 200 });
  });

  test('is looked for once for those who are told again and again, whatever they are told', () => {
    const index = new RoutingIndex<number>();
    const route = new Route<number>();
    const here = at('a', 1);
    const entry = add(index, says(here, _), 0);
    assert.deepEqual(send(index, route, says(here, 'one')), { to: [0], asked: true });
    assert.deepEqual(send(index, route, says(here, Uint8Array.of(2))), { to: [0], asked: false });
    assert.deepEqual(send(index, route, says(here, at('b', 2))), { to: [0], asked: false });
    assert.ok(send(index, route, says(at('a', 2), 'one')).asked);
    assert.ok(send(index, route, says(here, 'one')).asked, 'only the last way is known');
    index.hear(entry, false);
    assert.deepEqual(send(index, route, says(here, 'one')), { to: [], asked: true });
    assert.deepEqual(send(index, route, says(here, 'one')), { to: [], asked: false });
    index.hear(entry, true);
    assert.deepEqual(send(index, route, says(here, 'two')), { to: [0], asked: true });
    // Now what is said makes a difference.
    const last = add(index, says(here, 'three'), 1);
    assert.deepEqual(send(index, route, says(here, 'two')), { to: [0], asked: true });
    assert.deepEqual(send(index, route, says(here, 'three')), { to: [0, 1], asked: true });
    index.remove(last);
    assert.deepEqual(send(index, route, says(here, 'three')), { to: [0], asked: true });
    const other = new RoutingIndex<number>();
    while (other.changes < index.changes) add(other, 0, 0, false);
    assert.deepEqual(send(other, route, says(here, 'three')), { to: [], asked: true });
  });

  test('goes by bytes as they are when it is gone', () => {
    const index = new RoutingIndex<number>();
    const route = new Route<number>();
    for (let i = 0; i < 3; i++) {
      add(index, says(Uint8Array.of(i), _), i);
      add(index, says(at('b', Uint8Array.of(i)), _), i + 10);
    }
    const bytes = Uint8Array.of(0);
    const [bare, within] = [says(bytes, 1), says(at('b', bytes), 1)];
    for (const message of [bare, within]) {
      for (let i = 0; i < 3; i++) {
        bytes[0] = i;
        assert.deepEqual(send(index, route, message), { to: [message === bare ? i : i + 10], asked: true });
      }
    }
  });

  test('is not kept where it leads to many, nor by fields that no mask has room for', () => {
    const index = new RoutingIndex<number>();
    const route = new Route<number>();
    for (let i = 0; i < 9; i++) add(index, says('all', _), i);
    for (let i = 0; i < 2; i++) assert.ok(send(index, route, says('all', 1)).asked);
    const names = Array.from({ length: 64 }, (_none, i) => `f${i}`);
    const wide = record('wide', names) as unknown as (...fields: Topic[]) => Topic;
    const of = (field: number, value: Topic, rest: Topic): Topic =>
      wide(...names.map((_name, i) => (i === field ? value : rest)));
    for (const [field, asked] of [
      [0, false],
      [29, false],
      [30, true],
      [32, true],
      [63, true],
    ] as const) {
      const entry = add(index, of(field, 'mine', _), field);
      assert.deepEqual(send(index, route, of(field, 'mine', 0)).to, [field]);
      assert.deepEqual(send(index, route, of(field, 'mine', 0)), { to: [field], asked });
      assert.deepEqual(send(index, route, of(field, 'other', 0)).to, []);
      index.remove(entry);
    }
  });

  test('does not come to shapes of which nobody hears messages', () => {
    const index = new RoutingIndex<number>();
    add(index, says(at('a', 1), _), 0);
    const visited = (): number => {
      const before = index.census().visited;
      assert.deepEqual(send(index, new Route(), says(at('a', 1), 'hello')).to, [0]);
      return index.census().visited - before;
    };
    const alone = visited();
    const watching = [says(_, _), says(at(_, _), _), says(at(_, 1), _), says(at('a', _), _), _];
    const watchers = watching.map((topic, i) => add(index, topic, i + 1, false));
    assert.equal(visited(), alone);
    assert.equal(index.match(says(at('a', 1), 'hello')).length, 6, 'all of them are there');
    for (const watcher of watchers) index.hear(watcher, true);
    assert.equal(send(index, new Route(), says(at('a', 1), 'hello')).to.length, 6);
    for (const watcher of watchers) index.remove(watcher);
    for (const [i, topic] of watching.entries()) {
      add(index, topic, i, false);
      index.remove(add(index, topic, i));
    }
    assert.equal(visited(), alone);
  });

  test('holds on neither to what was said nor to those who are gone', async () => {
    const space = new Dataspace();
    const gone: WeakRef<object>[] = [];
    const visit = (): void => {
      const body = new Uint8Array(1e6);
      const text = Buffer.alloc(1e6, 'a').toString('latin1');
      const handlers = { onMessage: () => {} };
      gone.push(new WeakRef(body), new WeakRef(handlers));
      space.spawn((self) => {
        self.subscribe(says('you', _), handlers);
        // What is said makes a difference.
        self.subscribe(says('you', 'over'), { onMessage: () => self.quit() });
      });
      for (const what of [body, text]) {
        space.spawn((self) => {
          self.publish(says(_, _));
          self.async(Promise.resolve(), () => self.send(says('you', what)));
        });
      }
    };
    const before = await collect();
    visit();
    await space.run();
    space.spawn((self) => self.send(says('you', 'over')));
    await space.run();
    const more = (await collect()) - before;
    assert.ok(more < 500_000, `${more} bytes`);
    assert.deepEqual(
      gone.map((ref) => ref.deref() === undefined),
      [true, true],
    );
  });

  test('ends with its sender: those who are gone do not hold each other', async () => {
    const space = new Dataspace();
    let first: Self | undefined;
    const one =
      (i: number): Boot =>
      (self) => {
        first ??= self;
        self.subscribe(says(i, _), {
          onMessage: () => {
            self.spawn(one(i + 1));
            self.async(Promise.resolve(), () => {
              if (i < LINKS) self.send(says(i + 1, 'go on'));
              self.async(Promise.resolve(), () => self.quit());
            });
          },
        });
      };
    const LINKS = 3_000;
    space.spawn(one(0));
    space.spawn((self) => self.send(says(0, 'go on')));
    const before = await collect();
    await space.run();
    const more = (await collect()) - before;
    assert.equal(first?.id, 1);
    assert.equal(space.inspect().actors.length, 1, 'only the last one is there, which nobody told');
    assert.ok(more < LINKS * 200, `${more} bytes`);
  });
});

/** Ends the job, since what a WeakRef was made of is kept until then. Gives how many bytes are held. */
async function collect(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await new Promise(setImmediate);
    held();
  }
  return held();
}

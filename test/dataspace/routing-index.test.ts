import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { _, capture } from '../../src/dataspace/hole.ts';
import { Pattern } from '../../src/dataspace/pattern.ts';
import { record } from '../../src/dataspace/record.ts';
import { RoutingIndex } from '../../src/dataspace/routing-index.ts';
import type { RoutingEntry } from '../../src/dataspace/routing-index.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';
import { naiveMeet, open, plainTopics, realTopic } from './plain-topics.ts';
import type { Plain } from './plain-topics.ts';

const says = record('says', ['who', 'what']);

function indexOf(...topics: Topic[]): RoutingIndex<number> {
  const index = new RoutingIndex<number>();
  for (const [i, topic] of topics.entries()) index.add(new Pattern(topic), i);
  return index;
}

/** An index without the counts of its questions. */
function holdings(index: RoutingIndex<unknown>): object {
  const { visited: _visited, looked: _looked, indexed: _indexed, ...holds } = index.census();
  return holds;
}

const nothing = { endpoints: 0, shapes: 0, nodes: 0, constants: 0, indexes: 0 };

/** What happens to an index: an endpoint comes, one that came goes, a question is asked. */
type Step =
  | { readonly step: 'add'; readonly topic: Plain }
  | { readonly step: 'remove'; readonly which: number }
  | { readonly step: 'match'; readonly topic: Plain };

function stepsOver(topics: fc.Arbitrary<Plain>, maxLength: number): fc.Arbitrary<Step[]> {
  const add = topics.map((topic): Step => ({ step: 'add', topic }));
  const remove = fc.nat().map((which): Step => ({ step: 'remove', which }));
  const match = topics.map((topic): Step => ({ step: 'match', topic }));
  return fc.array(
    fc.oneof({ arbitrary: add, weight: 5 }, { arbitrary: remove, weight: 2 }, { arbitrary: match, weight: 3 }),
    { maxLength, size: 'max' },
  );
}

/** Takes an index through its steps, beside a list that is scanned from end to end. */
function assertLikeAScan(steps: readonly Step[]): void {
  const index = new RoutingIndex<number>();
  const all: { readonly id: number; readonly topic: Plain; readonly entry: RoutingEntry<number> }[] = [];
  for (const [id, step] of steps.entries()) {
    if (step.step === 'add') {
      const topic = open(step.topic);
      all.push({ id, topic, entry: index.add(new Pattern(realTopic(topic)), id) });
    } else if (step.step === 'remove') {
      const [gone] = all.length === 0 ? [] : all.splice(step.which % all.length, 1);
      if (gone !== undefined) assert.ok(index.remove(gone.entry));
    } else {
      const expected = all.filter(({ topic }) => naiveMeet(topic, step.topic) !== null).map((each) => each.id);
      assert.deepEqual(index.match(realTopic(step.topic)), expected);
    }
    assert.equal(index.size, all.length);
  }
  for (const { entry } of all) assert.ok(index.remove(entry));
  assert.deepEqual(holdings(index), nothing);
}

/** Topics of one label and few values: many of one shape, and questions with every choice of holes. */
const alike: fc.Arbitrary<Plain> = fc
  .array(
    fc.oneof(
      { arbitrary: fc.constant<Plain>({ kind: 'hole', name: null }), weight: 1 },
      { arbitrary: fc.constantFrom(0, 1, 'x').map((value): Plain => ({ kind: 'scalar', value })), weight: 3 },
      { arbitrary: fc.constant<Plain>({ kind: 'bytes', bytes: [120] }), weight: 1 },
    ),
    { minLength: 4, maxLength: 4 },
  )
  .map((items): Plain => ({ kind: 'record', label: 'a', own: true, items }));

/** The same with lists of 40 constants, of which an index takes only the first 30 into its hashes. */
const wide: fc.Arbitrary<Plain> = fc
  .tuple(fc.constantFrom(0, 1), fc.constantFrom(0, 1), fc.constantFrom(0, 1), fc.constantFrom(0, 1, 2, 3))
  .map(([first, late, last, holes]): Plain => {
    const items = Array.from({ length: 40 }, (_none, i): Plain => ({ kind: 'scalar', value: i }));
    items[0] = { kind: 'scalar', value: first };
    items[35] = holes === 1 ? { kind: 'hole', name: null } : { kind: 'scalar', value: late };
    items[39] = holes === 2 ? { kind: 'hole', name: null } : { kind: 'scalar', value: last };
    if (holes === 3) items[2] = { kind: 'hole', name: null };
    return { kind: 'list', items };
  });

describe('the routing index', () => {
  test('gives whose topics meet, in the order in which they came', () => {
    const index = indexOf(
      says(_, _),
      says('ann', _),
      _,
      says('bob', _),
      ['says', _],
      says(_, 'hello'),
      says('ann', 'x'),
    );
    assert.deepEqual(index.match(says('ann', 'hello')), [0, 1, 2, 5]);
    assert.deepEqual(index.match(says('ann', _)), [0, 1, 2, 5, 6]);
    assert.deepEqual(index.match(_), [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(index.match(['says', 1]), [2, 4]);
    assert.deepEqual(index.match(3), [2]);
    assert.deepEqual(new RoutingIndex().match(says(1, 2)), []);
  });

  test('gives an endpoint as often as it was added, and no more when it is removed', () => {
    const index = new RoutingIndex<string>();
    const pattern = new Pattern(says(capture('who'), _));
    const [first, second] = [index.add(pattern, 'a'), index.add(pattern, 'a')];
    assert.deepEqual(index.match(says(1, 2)), ['a', 'a']);
    assert.ok(index.remove(first));
    assert.ok(!index.remove(first), 'it is gone already');
    assert.deepEqual(index.match(says(1, 2)), ['a']);
    assert.equal(index.size, 1);
    assert.ok(index.remove(second));
    assert.deepEqual(holdings(index), nothing);
  });

  test('tells constants apart by kind and content', () => {
    const bytes = (text: string): Uint8Array => Buffer.from(text);
    const different: Topic[] = [
      ...[1, '1', '#1', bytes('1'), [1], ['1'], record('1', [])(), true, 'true', null, 'null', 1.5, '1.5', '#1.5'],
      ...[2 ** 31, `${2 ** 31}`, -(2 ** 31), 0, '0', '', bytes(''), [], Number.NaN, 'NaN', '#NaN', bytes('#NaN')],
    ];
    const index = indexOf(...different);
    for (const [i, topic] of different.entries()) assert.deepEqual(index.match(topic), [i]);
    assert.deepEqual(index.match(-0), [different.indexOf(0)]);
    assert.deepEqual(index.match(Buffer.from('x1').subarray(1)), [3]);
  });

  test('does not mind what becomes of the bytes that it was given', () => {
    const bytes = Uint8Array.of(1, 2);
    const index = new RoutingIndex<string>();
    const entry = index.add(new Pattern([bytes]), 'a');
    bytes[0] = 9;
    assert.deepEqual(index.match([Uint8Array.of(1, 2)]), ['a']);
    assert.deepEqual(index.match([bytes]), []);
    assert.ok(index.remove(entry));
    assert.deepEqual(holdings(index), nothing);
  });

  test('stays as it is when a question is refused', () => {
    const index = indexOf(_);
    assert.throws(() => index.match(new Date() as unknown as Topic), { code: 'ERR_PORTSIDE_TOPIC' });
    assert.deepEqual(index.match(1), [0]);
  });

  test('answers like a list that is scanned, whatever the topics', () => {
    fc.assert(fc.property(stepsOver(plainTopics({ holes: true, captures: true }), 120), assertLikeAScan), {
      numRuns: 300,
    });
  });

  test('answers like a list that is scanned where many have one shape', () => {
    fc.assert(fc.property(stepsOver(alike, 400), assertLikeAScan), { numRuns: 100 });
  });

  test('answers like a list that is scanned where there are more constants than it hashes', () => {
    fc.assert(fc.property(stepsOver(wide, 120), assertLikeAScan), { numRuns: 100 });
  });
});

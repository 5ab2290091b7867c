import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { _ } from '../../src/dataspace/hole.ts';
import { Pattern } from '../../src/dataspace/pattern.ts';
import { record } from '../../src/dataspace/record.ts';
import { held } from '../support/memory.ts';
import { RoutingIndex } from '../../src/dataspace/routing-index.ts';
import type { RoutingEntry } from '../../src/dataspace/routing-index.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';

const four = record('four', ['a', 'b', 'c', 'd']);

/** An index of so many endpoints that differ in two of their four fields. */
function indexOf(count: number): { readonly index: RoutingIndex<number>; readonly entries: RoutingEntry<number>[] } {
  const index = new RoutingIndex<number>();
  const entries = Array.from({ length: count }, (_none, i) => index.add(new Pattern(four('k', i, `v${i}`, _)), i));
  return { index, entries };
}

/** What one question comes to and looks at. */
function costOf(index: RoutingIndex<unknown>, topic: Topic): { visited: number; looked: number; found: number } {
  const before = index.census();
  const found = index.match(topic).length;
  const after = index.census();
  return { visited: after.visited - before.visited, looked: after.looked - before.looked, found };
}

describe('what the routing index looks at', () => {
  test('is the same for a message among 10, 1,000 and 100,000 unrelated endpoints', () => {
    for (const count of [10, 1_000, 100_000]) {
      const { index } = indexOf(count);
      assert.deepEqual(costOf(index, four('k', 7, 'v7', 1)), { visited: 6, looked: 1, found: 1 });
      assert.deepEqual(costOf(index, four('k', 7, 'v8', 1)), { visited: 6, looked: 0, found: 0 });
      assert.ok(costOf(index, four('k', 7, 'elsewhere', 1)).visited <= 4, 'a constant that nobody has ends the way');
      assert.deepEqual(costOf(index, record('other', ['a'])(1)), { visited: 1, looked: 0, found: 0 });
    }
  });

  test('is the same for the coming and going of one among them', () => {
    const costs = [1_000, 100_000].map((count) => {
      const { index } = indexOf(count);
      const pattern = new Pattern(four('k', -1, 'mine', _));
      const before = index.census();
      const entry = index.add(pattern, -1);
      const cost = costOf(index, pattern.topic);
      index.remove(entry);
      assert.deepEqual({ ...index.census(), visited: 0, looked: 0 }, { ...before, visited: 0, looked: 0 });
      return cost;
    });
    assert.deepEqual(costs[0], { visited: 6, looked: 1, found: 1 });
    assert.deepEqual(costs[1], costs[0]);
  });

  test('a question that leaves a constant open is soon as cheap as one that doesn’t', () => {
    const { index } = indexOf(10_000);
    const indexes = index.census().indexes;
    let looked = 0;
    for (let i = 0; i < 100; i++) looked += costOf(index, four(_, i, _, _)).looked;
    assert.ok(looked < 60_000, `it was looked through ${looked / 10_000} times in a hundred questions`);
    assert.deepEqual(costOf(index, four(_, 7, _, 1)).looked, 1);
    assert.equal(index.census().indexes, indexes + 1);
    // An index for some of the constants serves those who have more of them.
    assert.equal(costOf(index, four('k', 7, _, 1)).looked, 1);
    assert.equal(index.census().indexes, indexes + 1);
    // And it is kept, also as endpoints come and go.
    const entry = index.add(new Pattern(four('k', 7, 'again', _)), -1);
    assert.equal(costOf(index, four(_, 7, _, 1)).found, 2);
    index.remove(entry);
    assert.equal(costOf(index, four(_, 7, _, 1)).found, 1);
  });

  test('one who asks for all makes no index', () => {
    const { index } = indexOf(1_000);
    const indexes = index.census().indexes;
    for (let i = 0; i < 50; i++) assert.equal(costOf(index, four('k', _, _, _)).found, 1_000);
    assert.equal(index.census().indexes, indexes);
  });

  test('however questions change, indexes are few, and making them costs no more than looking', () => {
    const eight = record('eight', ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    const index = new RoutingIndex<number>();
    const count = 500;
    for (let i = 0; i < count; i++) {
      const [a, b, c, d, e, f, g, h] = Array.from({ length: 8 }, (_none, j) => (i >> j) & 1);
      index.add(new Pattern(eight(a!, b!, c!, d!, e!, f!, g!, h!)), i);
    }
    const all = Array.from({ length: 8 }, (_none, j) => j);
    for (let round = 0; round < 40; round++) {
      for (let mask = 1; mask < 255; mask++) {
        const [a, b, c, d, e, f, g, h] = all.map((j) => (((mask >> j) & 1) === 1 ? 1 : _));
        const { looked, found } = costOf(index, eight(a!, b!, c!, d!, e!, f!, g!, h!));
        assert.ok(looked <= count && found <= looked);
      }
    }
    const { indexes, indexed, looked } = index.census();
    assert.ok(indexes >= 2 && indexes <= 8, `${indexes} indexes`);
    assert.ok(indexed > 0 && indexed < looked / 4, `${indexed} were put into indexes, and ${looked} looked at`);
  });

  test('an index that is asked again and again is kept, while others make room for each other', () => {
    const index = new RoutingIndex<number>();
    // Twelve fields of 0 or 1: by each of them one half is told from the other.
    for (let i = 0; i < 128; i++)
      index.add(new Pattern(Array.from({ length: 12 }, (_none, j) => (i >> (j % 7)) & 1)), i);
    const by = (field: number): Topic => Array.from({ length: 12 }, (_none, j) => (j === field ? 1 : _));
    for (let i = 0; i < 20; i++) index.match(by(0));
    for (let round = 0; round < 300; round++) {
      for (let field = 1; field < 12; field++) {
        index.match(by(field));
        assert.deepEqual(costOf(index, by(0)).looked, 64, `in round ${round}`);
      }
    }
    const { indexes, indexed } = index.census();
    assert.equal(indexes, 8);
    assert.ok(indexed > 128 * 11, 'some were made twice');
  });

  test('follows the shapes that a topic could have, and no others', () => {
    const index = new RoutingIndex<number>();
    for (let i = 0; i < 200; i++) {
      index.add(new Pattern(record(`kind${i}`, ['x'])(_)), i);
      index.add(new Pattern(Array.from({ length: i + 1 }, () => _)), i);
      index.add(new Pattern(four(record(`inner${i}`, ['x'])(1), _, _, _)), i);
    }
    assert.equal(index.census().shapes, 600);
    assert.deepEqual(costOf(index, record('kind7', ['x'])('anything')), { visited: 3, looked: 1, found: 1 });
    assert.deepEqual(costOf(index, four(record('inner7', ['x'])(1), 2, 3, 4)), { visited: 7, looked: 1, found: 1 });
    assert.equal(costOf(index, _).found, 600);
  });

  test('shapes come and go, and those that stay are found', () => {
    const index = new RoutingIndex<number>();
    const topics = Array.from({ length: 500 }, (_none, i) => record(`kind${i}`, ['x'])(_) as Topic);
    const entries = topics.map((topic, i) => index.add(new Pattern(topic), i));
    for (let i = 0; i < 500; i++) {
      if (i % 50 !== 0) index.remove(entries[i]!);
      if (i % 7 === 0) index.remove(index.add(new Pattern(topics[499]!), -1));
      for (const kept of [0, 50, 250, 450]) assert.deepEqual(index.match(topics[kept]!), [kept]);
    }
    assert.deepEqual(index.match(_), [0, 50, 100, 150, 200, 250, 300, 350, 400, 450]);
    assert.deepEqual(costOf(index, topics[499]!), { visited: 1, looked: 0, found: 0 });
  });

  test('what a message has where no endpoint looks is not read', () => {
    const index = new RoutingIndex<number>();
    index.add(new Pattern(four('k', _, _, _)), 1);
    const large = Array.from({ length: 60_000 }, (_none, i) => i);
    assert.deepEqual(costOf(index, four('k', large, new Uint8Array(1e6), 1)), { visited: 6, looked: 1, found: 1 });
  });

  test('is over 1,024 levels of a pattern no deeper than the stack', () => {
    const index = new RoutingIndex<number>();
    for (let i = 0; i < 1_023; i += 93) {
      const items = Array.from({ length: 1_023 }, (_none, j) => (j <= i ? j : _));
      index.add(new Pattern(items), i);
    }
    assert.equal(index.match(Array.from({ length: 1_023 }, (_none, j) => j)).length, 11);
    assert.equal(index.match(Array.from({ length: 1_023 }, () => _)).length, 11);
  });
});

describe('what the routing index holds on to', () => {
  test('nothing, once all are removed, in whatever order', () => {
    for (const order of [(i: number) => i, (i: number) => 9_999 - i, (i: number) => (i * 7_919) % 10_000]) {
      const { index, entries } = indexOf(10_000);
      for (let i = 0; i < 12; i++) index.match(four(_, i, _, _));
      assert.ok(index.census().constants > 20_000 - 1);
      for (let i = 0; i < entries.length; i++) assert.ok(index.remove(entries[order(i)]!));
      const { visited: _visited, looked: _looked, indexed: _indexed, ...holds } = index.census();
      assert.deepEqual(holds, { endpoints: 0, shapes: 0, nodes: 0, constants: 0, indexes: 0 });
      assert.deepEqual(index.match(_), []);
    }
  });

  test('the memory of 50,000 endpoints, and nothing of it when they are gone', () => {
    const index = new RoutingIndex<object>();
    const come = (): RoutingEntry<object>[] =>
      Array.from({ length: 50_000 }, (_none, i) => index.add(new Pattern(four(`k${i}`, i, Uint8Array.of(i), _)), {}));
    const go = (entries: readonly RoutingEntry<object>[]): void => {
      for (const entry of entries) index.remove(entry);
    };
    go(come());
    const before = held();
    const entries = come();
    for (let i = 0; i < 10; i++) index.match(four(_, i, _, _));
    const full = held() - before;
    assert.ok(full < 50_000 * 2_048, `${full / 50_000} bytes for each`);
    go(entries.splice(10));
    const few = held() - before;
    assert.ok(few < full / 50, `${few} of ${full} bytes are left for ten`);
    assert.equal(index.match(four(_, _, _, _)).length, 10);
    go(entries.splice(0));
    const none = held() - before;
    assert.ok(none < full / 50, `${none} of ${full} bytes are left`);
  });

  test('no endpoint that was removed, and no topic that was asked about', () => {
    const index = new RoutingIndex<object>();
    index.add(new Pattern(four('k', _, _, _)), {});
    const gone: WeakRef<object>[] = [];
    const visit = (): void => {
      const value = {};
      const body = new Uint8Array(1e6);
      const topic = four('k', 1, body, body);
      gone.push(new WeakRef(value), new WeakRef(topic), new WeakRef(body));
      const entry = index.add(new Pattern(four('k', 1, body, _)), value);
      gone.push(new WeakRef(entry));
      assert.equal(index.match(topic).length, 2);
      index.remove(entry);
    };
    visit();
    assert.equal(index.match(four('k', 2, 2, 2)).length, 1);
    held();
    // Ends the job: what a WeakRef was made of is kept until then.
    return new Promise<void>((resolve) => {
      setImmediate(() => {
        held();
        resolve();
      });
    }).then(() =>
      assert.deepEqual(
        gone.map((ref) => ref.deref()),
        [undefined, undefined, undefined, undefined],
      ),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { _, capture } from '../../src/dataspace/hole.ts';
import { isGround, Pattern, toTopic } from '../../src/dataspace/pattern.ts';
import { record } from '../../src/dataspace/record.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';
import { equalTopics, intersect, overlaps, specialises } from '../../src/dataspace/unify.ts';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { topicKey } from '../../src/dataspace/topic-key.ts';
import { capturesIn, open, plainTopics, realTopic } from './plain-topics.ts';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
const pair = record('pair', ['first', 'second']);

/** Lists in lists, so many levels of them. */
function nested(levels: number): unknown {
  let list: unknown = 1;
  for (let i = 0; i < levels; i++) list = [list];
  return list;
}

describe('the pattern of an endpoint', () => {
  test('binds its captures to what a topic that it met has in their places', () => {
    const pattern = new Pattern(pair(capture('a'), [_, says(capture('who'), 'hello')]));
    assert.deepEqual(pattern.captures, ['a', 'who']);
    assert.ok(equalTopics(pattern.topic, pair(_, [_, says(_, 'hello')])));
    const met = intersect(pattern.topic, pair(1, ['x', says('ann', _)])) as Topic;
    const bound = pattern.bind(met);
    assert.deepEqual(bound, { a: 1, who: 'ann' });
    assert.ok(Object.isFrozen(bound));
    assert.deepEqual(new Pattern(capture('all')).bind(says('ann', 'x')), { all: says('ann', 'x') });
    assert.deepEqual(new Pattern(says(_, 'x')).bind(says('ann', 'x')), {});
  });

  test('binds a capture to a wildcard where the topic says nothing', () => {
    const pattern = new Pattern(says(capture('who'), capture('what')));
    assert.deepEqual(pattern.bind(says(_, 'hello')), { who: _, what: 'hello' });
    assert.deepEqual(pattern.bind(_), { who: _, what: _ });
    assert.deepEqual(pattern.bind(3), { who: _, what: _ });
    assert.deepEqual(new Pattern([[capture('x')]]).bind([_]), { x: _ });
  });

  test('binds under names that objects inherit as under any other', () => {
    const bound = new Pattern([capture('constructor'), capture('toString')]).bind([1, 2]);
    assert.deepEqual(Object.entries(bound), [
      ['constructor', 1],
      ['toString', 2],
    ]);
    assert.equal({}.constructor, Object);
  });

  test('has a name for one place only', () => {
    assert.throws(() => new Pattern([capture('x'), says(capture('x'), _)]), {
      code: 'ERR_PORTSIDE_TOPIC',
      message: /captures "x" in two places/u,
    });
    const shared = capture('x');
    assert.throws(() => new Pattern([shared, shared]), { code: 'ERR_PORTSIDE_TOPIC' });
    assert.doesNotThrow(() => new Pattern([_, _, capture('x'), capture('y')]));
  });

  test('has bytes of its own', () => {
    const bytes = Uint8Array.of(1, 2);
    const pattern = new Pattern(pair(bytes, [bytes, _]));
    bytes[0] = 9;
    assert.ok(equalTopics(pattern.topic, pair(Uint8Array.of(1, 2), [Uint8Array.of(1, 2), _])));
    const whole = new Pattern(bytes);
    bytes[0] = 8;
    assert.ok(equalTopics(whole.topic, Uint8Array.of(9, 2)));
  });

  test('binds, of any topic, what is in the places of its captures', () => {
    fc.assert(
      fc.property(plainTopics({ holes: true, captures: true }), plainTopics({ holes: false }), (a, ground) => {
        const names = capturesIn(a);
        if (new Set(names).size !== names.length) {
          assert.throws(() => new Pattern(realTopic(a)), { code: 'ERR_PORTSIDE_TOPIC' });
          return;
        }
        const pattern = new Pattern(realTopic(a));
        assert.deepEqual(pattern.captures, names);
        assert.ok(equalTopics(pattern.topic, realTopic(open(a))));
        const bound = pattern.bind(pattern.topic) as Record<string, unknown>;
        assert.deepEqual(Object.keys(bound).toSorted(), names.toSorted());
        assert.ok(Object.values(bound).every((value) => value === _));
        // Filling every hole with the same ground topic gives it back under every name.
        const filled = realTopic(fill(a));
        function fill(plain: typeof a): typeof a {
          if (plain.kind === 'hole') return ground;
          return 'items' in plain ? { ...plain, items: plain.items.map(fill) } : plain;
        }
        assert.ok(isGround(filled) && specialises(filled, pattern.topic));
        for (const value of Object.values(pattern.bind(filled))) assert.ok(equalTopics(value, realTopic(ground)));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the limits of topics', () => {
  test('64 levels, however a topic is made', () => {
    assert.doesNotThrow(() => toTopic(nested(64) as Topic));
    const deep = { code: 'ERR_PORTSIDE_LIMIT', message: /more than 64 levels deep/u };
    assert.throws(() => toTopic(nested(65) as Topic), deep);
    assert.throws(() => toTopic(nested(1_000_000) as Topic), deep);
    assert.throws(() => intersect(nested(100_000) as Topic, _), deep);
    const box = record('box', ['inside']);
    const deeper = box as (inside: unknown) => Topic;
    let made: Topic = box(1);
    for (let i = 1; i < 64; i++) made = deeper(made);
    assert.throws(() => deeper(made), deep);
    assert.throws(() => toTopic([made]), deep);
    assert.throws(() => deeper([[made]]), deep);
  });

  test('a list that contains itself is too deep', () => {
    const list: unknown[] = [];
    list.push(list);
    assert.throws(() => toTopic(list as Topic), { code: 'ERR_PORTSIDE_LIMIT' });
    const twice: unknown[] = [];
    twice.push(twice, twice);
    assert.throws(() => toTopic(twice as Topic), { code: 'ERR_PORTSIDE_LIMIT' });
  });

  test('65,536 values, what is in lists and records counted', () => {
    const large = { code: 'ERR_PORTSIDE_LIMIT', message: /more than 65536 values/u };
    assert.doesNotThrow(() => toTopic(Array.from({ length: 65_535 }, () => 1)));
    assert.throws(() => toTopic(Array.from({ length: 65_536 }, () => 1)), large);
    const vast: number[] = [];
    vast.length = 2 ** 30;
    assert.throws(() => toTopic(vast), large);
    const half = toTopic(Array.from({ length: 40_000 }, () => 1));
    assert.throws(() => pair(half, half), large);
    assert.throws(() => toTopic([half, half]), large);
    assert.throws(() => intersect(pair(half, _), pair(_, half)), large);
  });

  test('one that is small only as long as it is folded is refused at once', () => {
    let list: unknown = [1, 1];
    for (let i = 0; i < 60; i++) list = [list, list];
    assert.throws(() => toTopic(list as Topic), { code: 'ERR_PORTSIDE_LIMIT' });
    const larger = pair as (first: unknown, second: unknown) => Topic;
    let made: Topic = pair(1, 1);
    assert.throws(
      () => {
        for (let i = 0; i < 60; i++) made = larger(made, made);
      },
      { code: 'ERR_PORTSIDE_LIMIT' },
    );
  });

  test('1,024 values for the topic of an endpoint', () => {
    assert.doesNotThrow(() => new Pattern(Array.from({ length: 1_023 }, () => _)));
    assert.throws(() => new Pattern(Array.from({ length: 1_024 }, () => _)), {
      code: 'ERR_PORTSIDE_LIMIT',
      message: /an endpoint holds more than 1024/u,
    });
  });

  test('what is no topic is refused by all that take one', () => {
    const bad = { when: new Date() } as unknown as Topic;
    const takers: readonly ((topic: Topic) => unknown)[] = [
      toTopic,
      isGround,
      formatTopic,
      topicKey,
      (topic: Topic) => new Pattern(topic),
    ];
    for (const take of takers)
      assert.throws(() => take(bad), { code: 'ERR_PORTSIDE_TOPIC', message: /^the topic must be plain data/u });
    for (const take of [intersect, overlaps, specialises, equalTopics]) {
      assert.throws(() => take(bad, _), { code: 'ERR_PORTSIDE_TOPIC' });
      assert.throws(() => take(_, bad), { code: 'ERR_PORTSIDE_TOPIC' });
    }
  });
});

describe('topics as text', () => {
  test('read as they are written', () => {
    const channel = record('tcp-channel', ['source', 'destination', 'body']);
    const listener = record('tcp-listener', ['port']);
    assert.equal(
      formatTopic(channel(_, listener(5_999), Uint8Array.from(Buffer.from('hello')))),
      'tcp-channel(_, tcp-listener(5999), <5 bytes 68656c6c6f>)',
    );
    assert.equal(
      formatTopic(['a"b', 1.5, -0, Number.NaN, true, null, [], record('end', [])(), capture('who')]),
      String.raw`["a\"b", 1.5, 0, NaN, true, null, [], end(), $who]`,
    );
    assert.equal(formatTopic(record('two words', ['x'])(capture('a b'))), '"two words"($"a b")');
    assert.equal(formatTopic([new Uint8Array(0), Uint8Array.of(7)]), '[<0 bytes>, <1 byte 07>]');
  });

  test('are cut where they are long', () => {
    assert.equal(formatTopic('x'.repeat(65)), `"${'x'.repeat(63)}…"`);
    assert.equal(formatTopic(new Uint8Array(1e6)), `<1000000 bytes ${'00'.repeat(32)}…>`);
    const long = formatTopic(Array.from({ length: 60_000 }, (_none, i) => i));
    assert.equal(long.length, 1_000);
    assert.ok(long.startsWith('[0, 1, 2, ') && long.endsWith('…'));
    assert.equal(formatTopic([1, 2, 3], { limit: 9 }), '[1, 2, 3]');
    assert.equal(formatTopic([1, 2, 3], { limit: 8 }), '[1, 2, …');
  });

  test('have nothing in them that moves a cursor', () => {
    const nasty = '\u001B[2J\u0085\u2028\u202Eabc\r\n\u{E0041}';
    const text = formatTopic([nasty, record(nasty, ['x'])(capture(nasty))]);
    assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    assert.match(text, /\\u\{85\}/u);
  });
});

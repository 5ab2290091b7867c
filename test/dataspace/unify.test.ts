import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { _, capture } from '../../src/dataspace/hole.ts';
import { isGround, Pattern, toTopic } from '../../src/dataspace/pattern.ts';
import { record } from '../../src/dataspace/record.ts';
import { topicKey } from '../../src/dataspace/topic-key.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';
import { equalTopics, intersect, overlaps, specialises } from '../../src/dataspace/unify.ts';
import { isGroundPlain, likePairs, naiveMeet, plainTopics, realTopic, textOf } from './plain-topics.ts';
import type { Plain } from './plain-topics.ts';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
const topics = plainTopics({ holes: true, captures: true });
const pairs = fc.oneof(fc.tuple(topics, topics), likePairs());
const runs = { numRuns: 3_000 };

function meetOf(a: Topic | undefined, b: Topic | undefined): Topic | undefined {
  if (a === undefined || b === undefined) return undefined;
  return intersect(a, b);
}

function assertSame(a: Topic | undefined, b: Topic | undefined): void {
  if (a === undefined || b === undefined) assert.equal(a, b);
  else {
    assert.ok(equalTopics(a, b));
    assert.equal(topicKey(a), topicKey(b));
  }
}

describe('what two topics have in common', () => {
  test('each fills the holes of the other', () => {
    assert.deepEqual(intersect(says(_, 'hello'), says('ann', _)), says('ann', 'hello'));
    assert.deepEqual(intersect([_, says(_, 'x'), 2], [1, _, _]), [1, says(_, 'x'), 2]);
    assert.equal(intersect(says('ann', _), says('bob', _)), undefined);
    assert.equal(intersect(says(_, _), ['says', _]), undefined);
    assert.equal(intersect([_], [_, _]), undefined);
    assert.equal(intersect(_, _), _);
    assert.equal(intersect(null, null), null);
    assert.equal(intersect(null, 0), undefined);
  });

  test('bytes are compared by what is in them, and are never text', () => {
    assert.ok(equalTopics(Uint8Array.of(1, 2), Buffer.from([1, 2])));
    assert.ok(!overlaps(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
    assert.ok(!overlaps(Uint8Array.of(120), 'x'));
    assert.ok(!overlaps(Uint8Array.of(1), [1]));
    assert.deepEqual(
      intersect(says(_, _), record('says', ['a', 'b'])(Uint8Array.of(1), _)),
      says(Uint8Array.of(1) as never, _),
    );
  });

  test('NaN is NaN, and 0 is −0', () => {
    assert.ok(equalTopics(Number.NaN, Number.NaN) && equalTopics([Number.NaN], [Number.NaN]));
    assert.ok(equalTopics(0, -0) && equalTopics([0], [-0]));
    assert.ok(Object.is(toTopic(-0), 0) && Object.is(toTopic([-0])[0], 0));
    assert.ok(Object.is(intersect(_, -0), 0));
  });

  test('a handler that gives its own pattern first reads its own names', () => {
    const heard = record('says', ['speaker', 'text']).of<{ speaker: string; text: string }>();
    const topic = intersect(heard(_, _), says('ann', 'hello'));
    assert.equal(topic?.speaker, 'ann');
    assert.equal(topic.text, 'hello');
    assert.ok(heard.is(topic) && !says.is(topic));
    assert.ok(equalTopics(topic, says('ann', 'hello')));
  });

  test('a message that meets a pattern is given as it is', () => {
    const message = says('ann', 'hello');
    assert.equal(intersect(says(_, _), message), message);
    assert.equal(intersect(_, message), message);
    const list = toTopic([message, [1, 2]]);
    assert.equal(intersect([_, [1, _]], list), list);
  });

  test('captures are wildcards, and are not in what comes out', () => {
    assert.deepEqual(intersect(says(capture('a'), capture('b')), says(_, 'x')), says(_, 'x'));
    assert.deepEqual(intersect(_, says(capture('a'), _)), says(_, _));
    assert.deepEqual(intersect([says(capture('a'), _), capture('b')], _), [says(_, _), _]);
    assert.equal(intersect(capture('a'), capture('b')), _);
    assert.ok(equalTopics(capture('a'), _) && equalTopics(says(capture('a'), _), says(capture('b'), capture('c'))));
    assert.ok(specialises(_, capture('a')) && specialises(capture('a'), _));
  });

  test('holds for any two topics what the naive way says', () => {
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        const expected = naiveMeet(a, b);
        const real = meetOf(realTopic(a), realTopic(b));
        assertSame(real, expected === null ? undefined : realTopic(expected));
        assert.equal(overlaps(realTopic(a), realTopic(b)), expected !== null);
        if (real === undefined) return;
        assert.equal(isGround(real), isGroundPlain(expected!));
        assert.deepEqual(new Pattern(real).captures, []);
      }),
      runs,
    );
  });

  test('two topics are equal, and have the same key, exactly where their plain texts are the same', () => {
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        const same = textOf(a) === textOf(b);
        assert.equal(equalTopics(realTopic(a), realTopic(b)), same);
        assert.equal(topicKey(realTopic(a)) === topicKey(realTopic(b)), same);
      }),
      runs,
    );
  });

  test('no text or bytes in a topic can be taken for what surrounds it in a key', () => {
    const alike: Topic[] = [
      ...[['asb', 'c'], ['a', 'bsc'], ['a', 's1:b'], ['as1:b'], ['a', 'b'], ['l2:', 'x'], 'l1:s1:x', ['x'], 'x'],
      ...[Buffer.from('s1:x'), ['s1:', 'x'], says('ann', 'x'), 'r6:2 sayss3:anns1:x', ['r6:2 says', 'ann', 'x']],
      ...['n1;', 1, 't', true, 'z', null, '_', _, [1, 2], ['1;n2'], ['n1;n2;']],
    ];
    assert.equal(new Set(alike.map(topicKey)).size, alike.length);
  });

  test('it is the same whichever comes first, and with itself nothing new', () => {
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        assertSame(meetOf(realTopic(a), realTopic(b)), meetOf(realTopic(b), realTopic(a)));
        assertSame(meetOf(realTopic(a), realTopic(a)), realTopic(a));
      }),
      runs,
    );
  });

  test('of three it is the same in whatever order they are taken', () => {
    const triples = fc.oneof(
      fc.tuple(topics, topics, topics),
      fc.tuple(likePairs(), topics).map(([[a, b], c]) => [a, b, c] as const),
      fc.tuple(likePairs(), likePairs()).map(([[a, b], [, c]]) => [a, b, c] as const),
    );
    fc.assert(
      fc.property(triples, ([a, b, c]) => {
        const [x, y, z] = [realTopic(a), realTopic(b), realTopic(c)];
        assertSame(meetOf(meetOf(x, y), z), meetOf(x, meetOf(y, z)));
        assertSame(meetOf(meetOf(x, y), z), meetOf(meetOf(z, x), y));
      }),
      runs,
    );
  });

  test('it is a case of both, and whatever is a case of both is a case of it', () => {
    fc.assert(
      fc.property(pairs, topics, ([a, b], c) => {
        const [x, y, other] = [realTopic(a), realTopic(b), realTopic(c)];
        const met = meetOf(x, y);
        if (met !== undefined) {
          assert.ok(specialises(met, x) && specialises(met, y));
          assert.equal(specialises(other, met), specialises(other, x) && specialises(other, y));
        } else assert.ok(!(specialises(other, x) && specialises(other, y)));
      }),
      runs,
    );
  });

  test('specialising is being one’s own intersection, and both ways it is being equal', () => {
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        const [x, y] = [realTopic(a), realTopic(b)];
        const met = naiveMeet(a, b);
        const below = (plain: Plain): boolean => met !== null && textOf(met) === textOf(plain);
        assert.equal(specialises(x, y), below(a));
        assert.equal(specialises(y, x), below(b));
        assert.equal(specialises(x, y) && specialises(y, x), equalTopics(x, y));
      }),
      runs,
    );
  });
});

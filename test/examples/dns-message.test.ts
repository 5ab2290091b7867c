import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Message } from '../../examples/dns/message.ts';
import { readName, skipName, writeName } from '../../examples/dns/names.ts';
import { address, build, opt, soa, text, words } from './dns-building.ts';
import type { Built } from './dns-building.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place do they get the same copy of portside as this file.
const { examine } = await import('../../examples/dns/examine.ts');
const { codeFor, isAnswerTo, keep, lifetimeOf, rcodeOf, readHeader, readMessage, writeAnswer, writeQuery } =
  await import('../../examples/dns/message.ts');
const { dnsQuestion } = await import('../../examples/dns/topics.ts');

const RESPONSE = 0x8180;
const QUERY = 0x0100;

function read(bytes: Uint8Array): Message {
  const message = readMessage(bytes);
  assert.ok(message !== null, Buffer.from(bytes).toString('hex'));
  return message;
}

function answering(built: Built): Message {
  return read(build({ flags: RESPONSE, ...built }));
}

function ttls(bytes: Uint8Array): number[] {
  return read(bytes).records.map(({ ttl }) => ttl);
}

describe('names in messages', () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 63 });
  const wire = fc
    .array(label, { maxLength: 6 })
    .map((labels) => Buffer.concat([...labels.map((bytes) => Buffer.from([bytes.length, ...bytes])), Buffer.alloc(1)]))
    .filter(({ length }) => length <= 255);

  test('are the same bytes again when they are written, but for capitals', () => {
    fc.assert(
      fc.property(wire, (bytes) => {
        const name = readName(bytes, 0);
        assert.ok(name !== null);
        assert.equal(name.end, bytes.length);
        const small = Buffer.from(bytes).map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));
        // Lengths of labels are not letters: they are below 64.
        assert.deepEqual(Buffer.from(writeName(name.name)), Buffer.from(small));
        assert.equal(skipName(bytes, 0), bytes.length);
      }),
    );
  });

  test('look alike only when they are', () => {
    fc.assert(
      fc.property(wire, wire, (one, other) => {
        const [first, second] = [readName(one, 0), readName(other, 0)];
        assert.equal(
          first?.name === second?.name,
          one.toString('latin1').toLowerCase() === other.toString('latin1').toLowerCase(),
        );
      }),
    );
    const name = (...labels: readonly string[]): Uint8Array =>
      Buffer.from(labels.map((each) => String.fromCharCode(each.length) + each).join('') + '\0', 'latin1');
    assert.equal(readName(name('a.b'), 0)?.name, String.raw`a\.b`);
    assert.equal(readName(name('a', 'b'), 0)?.name, 'a.b');
    assert.equal(readName(name('a\\', 'b'), 0)?.name, String.raw`a\\.b`);
    assert.equal(readName(name('\u00ff', ' '), 0)?.name, String.raw`\255.\032`);
  });

  test('are none when they are too long, go on behind the end, or point forward', () => {
    assert.equal(readName(Buffer.from([64, ...Buffer.alloc(64), 0]), 0), null);
    const whole = Buffer.concat([
      ...Array.from({ length: 4 }, () => Buffer.from([62, ...Buffer.alloc(62, 'a')])),
      Buffer.from([2, 97, 97, 0]),
    ]);
    assert.equal(readName(whole, 0), null);
    assert.equal(skipName(whole, 0), -1);
    for (let end = 0; end < 8; end += 1)
      assert.equal(readName(Buffer.from('\u0007abcdefg\0').subarray(0, end), 0), null);
    assert.equal(readName(Buffer.from([0xc0, 0]), 0), null);
    assert.equal(skipName(Buffer.from([0xc0, 0]), 0), -1);
    assert.equal(skipName(Buffer.from([0xc0, 5, 0, 0, 0, 0]), 0), -1);
    assert.equal(skipName(Buffer.from([0, 0xc0, 0]), 1), 3);
    assert.equal(skipName(Buffer.from([0, 0xc0]), 1), -1);
  });
});

describe('messages', () => {
  const whole = build({
    flags: RESPONSE,
    answers: [address(1, 300), address(2, 200)],
    authorities: [soa(900, 60)],
    additionals: [address(3, 100), opt(4096)],
  });

  test('are read to their last byte, and not when one is missing or too many', () => {
    assert.equal(read(whole).records.length, 4);
    for (let end = 0; end < whole.length; end += 1) assert.equal(readMessage(whole.subarray(0, end)), null);
    assert.equal(readMessage(Buffer.concat([whole, Buffer.alloc(1)])), null);
  });

  test('that are anything are read or not, but never harm', () => {
    const byte = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    const spoiled = fc.array(byte, { minLength: 1, maxLength: 4 }).map((changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    const query = read(build({ flags: QUERY, additionals: [opt(1232)] }));
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), spoiled), (bytes) => {
        examine(bytes);
        isAnswerTo(query.bytes, bytes);
        const message = readMessage(bytes);
        if (message === null) return;
        accepted += 1;
        assert.ok(lifetimeOf(message) >= 0);
        const kept = read(keep(message));
        assert.equal(kept.edns, null);
        if (kept.questionEnd !== query.questionEnd) return;
        const answer = writeAnswer(query, kept, 1, 512);
        assert.ok(answer.length <= 512);
        assert.deepEqual(read(answer).question.name, query.question.name);
      }),
      { numRuns: 20_000 },
    );
    assert.ok(accepted > 100, String(accepted));
  });

  test('with counts that promise more than there is are not read', () => {
    for (const count of [1, 1000, 65_530]) {
      for (const section of [6, 8, 10]) {
        const bytes = Buffer.from(whole);
        bytes.writeUInt16BE(count + bytes.readUInt16BE(section), section);
        assert.equal(readMessage(bytes), null);
      }
    }
  });

  test('have one question, and say one thing about themselves', () => {
    const bytes = Buffer.from(whole);
    for (const count of [0, 2]) {
      bytes.writeUInt16BE(count, 4);
      assert.equal(readMessage(bytes), null);
    }
    assert.equal(readMessage(build({ additionals: [opt(512), opt(512)] })), null);
    assert.equal(readMessage(build({ answers: [opt(512)] })), null);
  });

  test('that ask are as they were meant', () => {
    const question = dnsQuestion(String.raw`a\.b.example`, 28, 1, true, true);
    const query = read(writeQuery(0xabcd, question, true));
    assert.deepEqual(query.question, question);
    assert.equal(query.header.id, 0xabcd);
    assert.equal(query.edns?.size, 1232);
    const plain = read(writeQuery(1, dnsQuestion('.', 2, 1, true, false), false));
    assert.deepEqual(plain.question, dnsQuestion('.', 2, 1, false, false));
    assert.equal(plain.edns, null);
  });

  test('answer only who was asked, what was asked, under the number of the question', () => {
    const query = build({ id: 7, flags: QUERY, additionals: [opt(1232)] });
    const good = { id: 7, flags: RESPONSE, answers: [address(1, 1)] };
    assert.equal(isAnswerTo(query, build(good)), true);
    assert.equal(isAnswerTo(query, build({ ...good, name: 'HOST.example' })), true);
    assert.equal(isAnswerTo(query, build({ ...good, id: 8 })), false);
    assert.equal(isAnswerTo(query, build({ ...good, flags: QUERY })), false);
    assert.equal(isAnswerTo(query, build({ ...good, flags: RESPONSE | 0x2000 })), false);
    assert.equal(isAnswerTo(query, build({ ...good, name: 'other.example' })), false);
    assert.equal(isAnswerTo(query, build({ ...good, type: 2 })), false);
    assert.equal(isAnswerTo(query, build({ ...good, class: 3 })), false);
    assert.equal(isAnswerTo(query, query), false);
    assert.equal(isAnswerTo(query, words(7, RESPONSE | 1, 0, 0, 0, 0)), true, 'it does not know EDNS');
    assert.equal(isAnswerTo(query, words(7, RESPONSE, 0, 0, 0, 0)), false);
  });
});

describe('how long an answer holds', () => {
  const cases: readonly (readonly [string, Built, number])[] = [
    ['as its shortest record', { answers: [address(1, 300), address(2, 20)] }, 20],
    ['a day at most', { answers: [address(1, 1_000_000)] }, 86_400],
    ['not at all with a TTL of 0', { answers: [address(1, 300), address(2, 0)] }, 0],
    ['not at all with one beyond what there is', { answers: [address(1, 0x8000_0000)] }, 0],
    ['not when the server failed', { flags: RESPONSE | 2, answers: [address(1, 300)] }, 0],
    ['not when there is nothing in it', {}, 0],
    ['no such name: as the zone says', { flags: RESPONSE | 3, authorities: [soa(900, 60)] }, 60],
    ['no such name: no longer than one is told so', { flags: RESPONSE | 3, authorities: [soa(30, 60)] }, 30],
    ['no such name: three hours at most', { flags: RESPONSE | 3, authorities: [soa(99_999, 99_999)] }, 10_800],
    ['no such name, and no zone', { flags: RESPONSE | 3, authorities: [{ ...address(1, 9), type: 2 }] }, 0],
    ['nothing of that type', { type: 28, authorities: [soa(900, 70)] }, 70],
    [
      'an alias of nothing of that type',
      { type: 28, answers: [{ ...address(1, 40), type: 5 }], authorities: [soa(900, 70)] },
      40,
    ],
    ['an alias of what is not told', { type: 28, answers: [{ ...address(1, 40), type: 5 }] }, 0],
    ['everything there is', { type: 255, answers: [address(1, 40)] }, 40],
  ];
  for (const [what, built, seconds] of cases) {
    test(what, () => assert.equal(lifetimeOf(answering(built)), seconds));
  }
});

describe('an answer that was kept', () => {
  const kept = read(
    keep(answering({ answers: [address(1, 300), address(2, 20)], additionals: [address(3, 100), opt(4096)] })),
  );

  test('goes out with the number, the spelling and the flags of who asks, and with what is left of its time', () => {
    const query = read(build({ id: 99, flags: QUERY | 0x10, name: 'HoSt.ExAmPlE' }));
    const answer = writeAnswer(query, kept, 30, 512);
    const header = readHeader(answer);
    assert.equal(header?.id, 99);
    assert.equal(header.flags, 0x8190);
    assert.deepEqual(ttls(answer), [270, 0, 70]);
    assert.ok(Buffer.from(answer).subarray(12, query.questionEnd).equals(query.bytes.subarray(12, query.questionEnd)));
    assert.equal(read(answer).edns, null);
    assert.deepEqual(ttls(kept.bytes), [300, 20, 100], 'and is itself as it was');
  });

  test('says of nothing that it was checked, and of none that he is the authority', () => {
    const bold = answering({ flags: RESPONSE | 0x0420, answers: [address(1, 1)] });
    assert.equal(readHeader(writeAnswer(read(build({ flags: QUERY })), bold, 0, 512))?.flags, RESPONSE);
  });

  test('tells who speaks EDNS how much may be sent here', () => {
    const query = read(build({ flags: QUERY, additionals: [opt(4096, { ttl: 0x8000 })] }));
    const { edns } = read(writeAnswer(query, kept, 0, 512));
    assert.deepEqual(
      { size: edns?.size, dnssec: edns?.dnssec, version: edns?.version },
      { size: 1232, dnssec: true, version: 0 },
    );
  });

  test('goes without what only helps where there is no room, and is truncated where there is none for it', () => {
    const query = read(build({ flags: QUERY, additionals: [opt(512)] }));
    const long = read(build({ flags: RESPONSE, answers: [text(200, 5)], additionals: [text(200, 5)] }));
    const whole = writeAnswer(query, long, 0, 1232);
    assert.deepEqual(ttls(whole), [5, 5]);
    const helpless = writeAnswer(query, long, 1, whole.length - 1);
    assert.deepEqual(ttls(helpless), [4]);
    assert.equal(readHeader(helpless)?.flags, RESPONSE);
    const cut = writeAnswer(query, long, 0, helpless.length - 1);
    assert.deepEqual(ttls(cut), []);
    assert.equal(readHeader(cut)?.flags, RESPONSE | 0x0200);
    assert.notEqual(read(cut).edns, null);
  });

  test('is kept without what stood behind the words of its server about itself', () => {
    const odd = answering({ answers: [address(1, 9)], additionals: [address(2, 8), opt(4096), address(3, 7)] });
    const before = Buffer.from(odd.bytes);
    assert.deepEqual(ttls(keep(odd)), [9, 8]);
    assert.ok(before.equals(odd.bytes), 'and what came is as it was');
  });
});

describe('what clients send', () => {
  const codes: readonly (readonly [string, Uint8Array, number])[] = [
    ['another kind of request', build({ flags: QUERY | 0x2800 }), 4],
    [
      'two questions',
      Buffer.concat([words(5, QUERY, 2, 0, 0, 0), writeName('a'), words(1, 1), writeName('b'), words(1, 1)]),
      1,
    ],
    ['no question', words(5, QUERY, 0, 0, 0, 0), 1],
    ['a question that is cut off', build({ flags: QUERY }).subarray(0, 20), 1],
    ['an answer in a question', build({ flags: QUERY, answers: [address(1, 1)] }), 1],
    ['a zone transfer', build({ flags: QUERY, type: 252 }), 5],
    ['a zone transfer by steps', build({ flags: QUERY, type: 251, authorities: [soa(1, 1)] }), 5],
    ['another class', build({ flags: QUERY, class: 3 }), 5],
    ['no wish that others are asked', build({ flags: 0 }), 5],
    ['EDNS of the future', build({ flags: QUERY, additionals: [opt(1232, { ttl: 0x10000 })] }), 16],
    ['a question for EDNS itself', build({ flags: QUERY, type: 41 }), 1],
  ];
  for (const [what, bytes, code] of codes) {
    test(`${what} is refused`, () => {
      const examined = examine(bytes);
      assert.ok(examined.kind === 'refuse');
      const { answer } = examined;
      const header = readHeader(answer);
      assert.deepEqual({ id: header?.id, isAnswer: header?.isAnswer }, { id: readHeader(bytes)?.id, isAnswer: true });
      assert.equal(header?.counts[0] === 1 ? rcodeOf(read(answer)) : (header?.flags ?? 0) & 15, code);
      assert.ok(answer.length <= bytes.length + 11, 'and makes no more of it than it was');
    });
  }

  test('that is an answer, or shorter than a message, is not answered', () => {
    assert.deepEqual(examine(build({ flags: RESPONSE })), { kind: 'ignore' });
    assert.deepEqual(examine(build({ flags: QUERY }).subarray(0, 11)), { kind: 'ignore' });
    assert.deepEqual(examine(new Uint8Array()), { kind: 'ignore' });
  });

  test('as a question is one', () => {
    const examined = examine(build({ flags: QUERY, name: 'A.example' }));
    assert.deepEqual(examined.kind === 'ask' && examined.query.question, dnsQuestion('a.example', 1, 1, false, false));
    assert.equal(rcodeOf(read(codeFor(dnsQuestion('a.example', 1, 1, false, false), 2))), 2);
  });
});

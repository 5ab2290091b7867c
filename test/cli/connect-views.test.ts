import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CrlfEncoder } from '../../src/cli/connect/crlf.ts';
import { printable } from '../../src/cli/connect/printable.ts';
import { viewOf } from '../../src/cli/connect/view.ts';
import type { Screen } from '../../src/cli/connect/view.ts';
import type { Showing } from '../../src/cli/connect/plan.ts';

const pipe: Screen = { terminal: false, echoes: false };
const typing: Screen = { terminal: true, echoes: true };
const watching: Screen = { terminal: true, echoes: false };

/** What a view makes of what came, in pieces. */
function viewed(
  showing: Showing,
  screen: Screen,
  received: readonly Uint8Array[],
  sent: readonly Uint8Array[] = [],
): Buffer {
  const view = viewOf(showing, screen);
  const shown = [
    ...sent.map((bytes) => view.sent(bytes)),
    ...received.map((bytes) => view.received(bytes)),
    view.rest(),
  ];
  return Buffer.concat(shown.filter((part) => part !== null).map((part) => Buffer.from(part as string)));
}

/** Bytes with many line ends, and where to cut them. */
const text = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', 'a', 'ü', '\0'), { maxLength: 60 })
  .map((all) => Buffer.from(all.join('')));
const pieces = fc.tuple(text, fc.array(fc.nat(60), { maxLength: 5 })).map(([bytes, cuts]) => {
  const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
  return { bytes, parts: at.slice(1).map((to, i) => bytes.subarray(at[i], to)) };
});

describe('CRLF', () => {
  test('each LF gets a CR unless it has one, however the bytes come in pieces', () => {
    fc.assert(
      fc.property(pieces, ({ bytes, parts }) => {
        const encoder = new CrlfEncoder();
        const encoded = Buffer.concat(parts.map((part) => encoder.encode(part)));
        assert.equal(encoded.toString('latin1'), bytes.toString('latin1').replaceAll(/(?<!\r)\n/gu, '\r\n'));
      }),
    );
  });
});

describe('raw', () => {
  test('what comes is what is written, and what is sent is not shown', () => {
    assert.deepEqual(viewed('raw', pipe, [Buffer.from('a\xff')], [Buffer.from('b')]), Buffer.from('a\xff'));
  });
});

describe('hexadecimal', () => {
  test('is as hexdump -C has it, with arrows and offsets of each direction', () => {
    const bytes = Buffer.from(Array.from({ length: 37 }, (_, i) => (i * 7) % 256));
    // The output of `hexdump -C` for these bytes.
    const dumped = [
      '00000000  00 07 0e 15 1c 23 2a 31  38 3f 46 4d 54 5b 62 69  |.....#*18?FMT[bi|',
      '00000010  70 77 7e 85 8c 93 9a a1  a8 af b6 bd c4 cb d2 d9  |pw~.............|',
      '00000020  e0 e7 ee f5 fc                                    |.....|',
    ];
    const shown = viewed('hex', pipe, [bytes.subarray(0, 16), bytes.subarray(16)], [bytes]).toString();
    assert.equal(shown, [...dumped.map((line) => `-> ${line}\n`), ...dumped.map((line) => `<- ${line}\n`)].join(''));
  });
});

describe('lines', () => {
  test('are the same however the bytes come in pieces; elsewhere than on a terminal they are bytes with an LF each', () => {
    fc.assert(
      fc.property(pieces, ({ bytes, parts }) => {
        const shown = viewed('lines', pipe, parts);
        assert.equal(shown.toString('latin1'), bytes.toString('latin1').replaceAll('\r\n', '\n'));
        for (const screen of [pipe, typing, watching])
          assert.deepEqual(viewed('lines', screen, parts), viewed('lines', screen, [bytes]));
      }),
    );
  });

  test('on a terminal have arrows; what is typed there is not shown again', () => {
    const [sent, received] = [[Buffer.from('hi\n')], [Buffer.from('one\r\ntwo')]];
    assert.equal(viewed('lines', typing, received, sent).toString(), '<- one\n<- two\n');
    assert.equal(viewed('lines', watching, received, sent).toString(), '-> hi\n<- one\n<- two\n');
    assert.equal(viewed('lines', pipe, received, sent).toString(), 'one\ntwo');
  });

  test('without an end are shown in pieces, so that nobody can fill the memory', () => {
    const view = viewOf('lines', pipe);
    const piece = Buffer.alloc(1_000, 'x');
    let shown = 0;
    for (let i = 1; i <= 1_000; i += 1) {
      shown += view.received(piece)?.length ?? 0;
      assert.ok(i * piece.length - shown < 65_536 + piece.length);
    }
  });
});

describe('text of strangers', () => {
  test('has no character left that steers a terminal, and nothing else is changed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (given) => {
        const shown = printable(given);
        assert.doesNotMatch(shown.replaceAll('\t', ''), /[\p{Cc}\p{Cf}\u2028\u2029]/u);
        if (!/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(given)) assert.equal(shown, given);
      }),
    );
    assert.equal(printable('\x1b]0;x\x07\u009b\r\n\u202e'), String.raw`\x1b]0;x\x07\x9b\r\n\u{202e}`);
  });
});

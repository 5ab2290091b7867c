import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { logText, withoutSecrets } from '../../src/server/log-text.ts';
import { errorFields, plainFields } from '../../src/server/log-value.ts';
import { PlainLogger } from '../../src/server/plain-logger.ts';

const UNSEEN = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u;
const unseen = fc.string({
  unit: fc.constantFrom('a', '\n', '\r', '\u001b', '\u009b', '\u0000', '\u2028', '\u202e', '"', '\\'),
});

/** A line as it was written. */
type Told = readonly [string, Record<string, unknown>, string];

describe('what strangers can put into a log', () => {
  test('texts are on one line, visible and cut', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), unseen), fc.integer({ min: 1, max: 80 }), (text, most) => {
        const told = logText(text, most);
        assert.ok(!UNSEEN.test(told) && told.length <= most, JSON.stringify(told));
      }),
    );
    assert.equal(logText('a\nb\u001b[2J\u202e'), String.raw`a\u000ab\u001b[2J\u202e`);
  });

  test('passwords in URLs, tokens and keys are not in them', () => {
    for (const [text, told] of [
      ['connect to redis://user:p%40ss@10.0.0.1:6379/0 failed', 'connect to redis://***@10.0.0.1:6379/0 failed'],
      ['https://ghp_abcdef@github.com/x', 'https://***@github.com/x'],
      ['Authorization: Bearer abcdef0123456789', 'Authorization: Bearer ***'],
      ['login failed: password=hunter2, again', 'login failed: password=***, again'],
      ['passphrase: xyzzy', 'passphrase: ***'],
      ['GET /?access_token=abc&x=1', 'GET /?access_token=***&x=1'],
      ['-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----!', '[private key]!'],
      ['mail //nobody, a@b, pass the key', 'mail //nobody, a@b, pass the key'],
    ] as const)
      assert.equal(withoutSecrets(text), told);
  });

  test('it takes no time to look for them, whatever the text', () => {
    for (const part of [
      '//',
      '//a',
      '//a:',
      'Bearer ',
      'password',
      'a_',
      '-----BEGIN PRIVATE KEY-----',
      '-----BEGIN ',
    ]) {
      const began = performance.now();
      logText(part.repeat(60_000 / part.length));
      assert.ok(performance.now() - began < 5_000, part);
    }
  });
});

describe('the fields of a line', () => {
  test('are plain data of bounded size, whatever they are made of', () => {
    fc.assert(
      fc.property(
        fc.object({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          maxDepth: 8,
        }),
        (given) => {
          const { fields, weight } = plainFields(given);
          const text = JSON.stringify(fields);
          assert.deepEqual(structuredClone(fields), fields);
          assert.ok(text.length < 200_000 && weight > 0, String(text.length));
        },
      ),
      { numRuns: 200 },
    );
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, 'x'.repeat(5_000)]));
    const { fields, weight } = plainFields({ wide, list: Array.from({ length: 5_000 }, () => wide) });
    assert.ok(JSON.stringify(fields).length < 40_000, 'bounded');
    assert.ok(weight < 40_000);
    const loop: Record<string, unknown> = {};
    loop['loop'] = loop;
    assert.ok(JSON.stringify(plainFields(loop).fields).length < 200);
  });

  test('are told where there are none to speak of, and weigh what they are', () => {
    const url = new URL('tcp://me:word@host:1');
    for (const [given, value] of [
      [new Date(0), '1970-01-01T00:00:00.000Z'],
      [url, 'tcp://***@host:1'],
      [new Uint8Array(3), '[3 bytes]'],
      [
        ['a', 1],
        ['a', 1],
      ],
    ] as const)
      assert.deepEqual(plainFields(given).fields, { value });
    const error = new Error('x', { cause: new Error('y'.repeat(400)) });
    for (const given of [error, { error }, Array.from({ length: 200 }, () => true)]) {
      const { fields, weight } = plainFields(given);
      assert.ok(JSON.stringify(fields).length < weight * 1.5, `${JSON.stringify(fields).length} ${weight}`);
    }
  });

  test('have no bytes, no secrets, and of errors no more than their words', () => {
    const error = Object.assign(new Error('no', { cause: new TypeError('why\n[x]') }), {
      code: 'E',
      request: { key: 1 },
    });
    const { fields } = plainFields({
      bytes: new Uint8Array([115, 101]),
      buffer: Buffer.from('payload').buffer,
      password: 'a',
      nested: { accessToken: 'b', api_key: 'c', Authorization: 'd', tokens: 3, cookie: null },
      url: new URL('tcp://me:word@host:1'),
      error,
      fn: () => 1,
      get boom() {
        return 'fine';
      },
    });
    const { error: told, buffer, ...rest } = fields as { error: Record<string, unknown>; buffer: string };
    assert.match(buffer, /^\[\d+ bytes\]$/u);
    assert.deepEqual(rest, {
      bytes: '[2 bytes]',
      password: '[hidden]',
      nested: { accessToken: '[hidden]', api_key: '[hidden]', Authorization: '[hidden]', tokens: 3, cookie: null },
      url: 'tcp://***@host:1',
      boom: 'fine',
    });
    assert.deepEqual(Object.keys(told), ['type', 'code', 'message', 'stack', 'cause']);
    assert.deepEqual((told['cause'] as { message: string }).message, String.raw`why\u000a[x]`);
    const hostile = {
      get x(): never {
        throw new Error('no');
      },
    };
    assert.deepEqual(plainFields({ hostile }).fields, { hostile: '[unreadable]' });
  });

  test('lines of a stranger do not pass for frames or lines of a stack', () => {
    const { message, stack = '' } = errorFields(new Error('a\nportside: stopped\n[12:00:00] INFO: fine'));
    assert.doesNotMatch(message, /\n/u);
    assert.ok(
      stack.split('\n').every((line, i) => i === 0 || line.startsWith('    at ')),
      stack,
    );
    for (const thrown of [null, undefined, 5, { toString: null }, 'text\n'])
      assert.equal(errorFields(thrown).type, 'thrown');
    assert.equal(errorFields('text\n').message, String.raw`text\u000a`);
  });

  test('can’t stand in for those that the logger gives', () => {
    const lines: unknown[] = [];
    const logger = new PlainLogger('info', (level, fields, message) => void lines.push([level, fields, message]));
    const own = logger.child({ conn: 1, peer: 'a' });
    own.info({ conn: 2, peer: 'b', level: 'fatal', time: 0, msg: 'c', pid: 1, x: 1 }, 'd\ne');
    own.child({ conn: 3, user: 'u' }).warn('f');
    own.error(new Error('g'));
    own.debug('not written');
    const [first, second, third] = lines as [Told, Told, Told];
    const forged = { conn_: 2, peer_: 'b', level_: 'fatal', time_: 0, msg_: 'c', pid_: 1, x: 1 };
    assert.deepEqual(first, ['info', { conn: 1, peer: 'a', ...forged }, String.raw`d\u000ae`]);
    assert.deepEqual(second, ['warn', { conn: 1, peer: 'a', conn_: 3, user: 'u' }, 'f']);
    const [level, { err }, message] = third;
    assert.deepEqual([level, (err as { message: string }).message, message], ['error', 'g', 'g']);
    assert.equal(lines.length, 3);
    assert.deepEqual([logger.isLevelEnabled('debug'), own.isLevelEnabled('info')], [false, true]);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { decodeAll } from '../../src/codec/decode-all.ts';
import { connect } from '../../src/net/connect.ts';
import { endAll } from '../support/nets.ts';
import { start, startNc, startServing } from '../support/program.ts';
import { assertSplitInvariant, cut, outcomeOf } from '../support/split.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place does the example get the same copy of portside as this file.
const { MAX_REQUEST, MAX_WORDS, resp } = await import('../../examples/resp.ts');
type Reply = Parameters<typeof resp.encode>[0];

const INVALID = 'ERR_PORTSIDE_FRAME_INVALID';
const TOO_LONG = 'ERR_PORTSIDE_FRAME_TOO_LONG';
const UNEXPECTED_END = 'ERR_PORTSIDE_UNEXPECTED_END';

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** What is made of an input, the same however it is cut; words as latin1 text. */
function decoded(input: string): { frames: string[][]; error: string | undefined } {
  const { frames, error } = assertSplitInvariant(resp, Buffer.from(input, 'latin1'));
  return { frames: frames.map((words) => words.map(latin1)), error };
}

function encoded(reply: Reply): string {
  return latin1(resp.encode(reply));
}

/** A request as clients send it. */
function request(words: readonly Uint8Array[]): Uint8Array {
  const parts = words.flatMap((word) => [Buffer.from(`$${word.length}\r\n`), word, Buffer.from('\r\n')]);
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts]);
}

describe('a request', () => {
  test('is an array of byte strings, of any bytes, one after another', () => {
    assert.deepEqual(decoded('*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$6\r\n\r\n*\xff$1\r\n'), {
      frames: [['PING'], ['SET', '', '\r\n*\xff$1']],
      error: undefined,
    });
  });

  test('or a line of words', () => {
    assert.deepEqual(decoded('PING\r\n  set\tkey   \xe4 \nGET key\r\n'), {
      frames: [['PING'], ['set', 'key', '\xe4'], ['GET', 'key']],
      error: undefined,
    });
  });

  test('both in one connection; what is empty is none', () => {
    assert.deepEqual(decoded('\r\n*0\r\nPING\r\n*-1\r\n   \n*1\r\n$4\r\nPING\r\n\n'), {
      frames: [['PING'], ['PING']],
      error: undefined,
    });
  });

  test('that does not follow the format is refused, and those before it are given', () => {
    for (const wrong of [
      '*x\r\n',
      '*\r\n',
      '*-\r\n',
      '*1\n',
      '*1 \r\n',
      '*12345678901234567890\r\n',
      '*1\r\nPING\r\n',
      '*1\r\n:4\r\n',
      '*1\r\n$-1\r\n',
      '*1\r\n$4x\r\nPING\r\n',
      '*1\r\n$4\nPING\r\n',
      '*1\r\n$3\r\nPING\r\n',
      '*1\r\n$4\r\nPING\n\r',
      `*${MAX_WORDS + 1}\r\n`,
      `${'x '.repeat(MAX_WORDS + 1)}\r\n`,
    ]) {
      assert.deepEqual(decoded(`*1\r\n$1\r\na\r\n${wrong}`), { frames: [['a']], error: INVALID }, wrong);
    }
  });

  test('that ends too soon is told', () => {
    const whole = '*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n';
    for (let end = 1; end < whole.length; end += 1)
      assert.deepEqual(decoded(whole.slice(0, end)), { frames: [], error: UNEXPECTED_END }, whole.slice(0, end));
    assert.deepEqual(decoded('PING'), { frames: [], error: UNEXPECTED_END });
  });

  test('has a limit, of its words, its size and its line', () => {
    const most = request(Array.from({ length: MAX_WORDS }, () => Buffer.from('x')));
    assert.equal(decodeAll(resp, [most])[0]?.length, MAX_WORDS);
    const header = '*2\r\n$3\r\nGET\r\n$1048544\r\n'.length;
    const largest = request([Buffer.from('GET'), Buffer.alloc(MAX_REQUEST - header - 2)]);
    assert.equal(largest.length, MAX_REQUEST);
    assert.equal(decodeAll(resp, [largest, largest])[1]?.[1]?.length, MAX_REQUEST - header - 2);
    const larger = Buffer.from(`*2\r\n$3\r\nGET\r\n$${MAX_REQUEST - header - 1}\r\n`);
    assert.deepEqual(outcomeOf(resp, [larger]), { frames: [], error: TOO_LONG }, 'before any of it has come');
    const many = Buffer.from(`*3\r\n$600000\r\n${'x'.repeat(600_000)}\r\n$600000\r\n`);
    assert.deepEqual(outcomeOf(resp, [many]), { frames: [], error: TOO_LONG }, 'words count together');
    assert.equal(decoded(`${'x'.repeat(4_094)}\r\n`).frames.length, 1);
    assert.deepEqual(decoded('x'.repeat(4_096)), { frames: [], error: TOO_LONG });
  });

  test('of any words comes out as it went in, among any others, however the input is cut', () => {
    const word = fc.uint8Array({ maxLength: 40 });
    const words = fc.array(word, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(words, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 12 }), (requests, places) => {
        const bytes = Buffer.concat(requests.map(request));
        const frames = decodeAll(resp, cut(bytes, places));
        assert.deepEqual(
          frames.map((each) => each.map(latin1)),
          requests.map((each) => each.map(latin1)),
        );
      }),
    );
  });

  test('of any bytes is a request or an error of the format, the same however the input is cut', () => {
    const pieces = fc.constantFrom('*', '$', '1', '2', '-', '\r\n', '\n', 'PING', ' ', '*1\r\n', '$4\r\n', '\xff');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
        assertSplitInvariant(resp, Buffer.from(parts.join(''), 'latin1'));
      }),
    );
  });

  test('is found among thousands in one piece, and in thousands of pieces', () => {
    const one = request([Buffer.from('SET'), Buffer.from('key'), Buffer.from('value')]);
    const all = Buffer.concat(Array.from({ length: 20_000 }, () => one));
    const frames = decodeAll(resp, [all]);
    assert.equal(frames.length, 20_000);
    const byByte = decodeAll(
      resp,
      Array.from(all.subarray(0, one.length * 500), (byte) => Uint8Array.of(byte)),
    );
    assert.equal(byByte.length, 500);
  });
});

describe('a reply', () => {
  test('is written as its kind', () => {
    assert.equal(encoded({ simple: 'OK' }), '+OK\r\n');
    assert.equal(encoded({ error: 'ERR no' }), '-ERR no\r\n');
    assert.equal(encoded(-5), ':-5\r\n');
    assert.equal(encoded(9_223_372_036_854_775_807n), ':9223372036854775807\r\n');
    assert.equal(encoded('ä'), '$2\r\n\xc3\xa4\r\n');
    assert.equal(encoded(''), '$0\r\n\r\n');
    assert.equal(encoded(Uint8Array.of(0, 255)), '$2\r\n\x00\xff\r\n');
    assert.equal(encoded(null), '$-1\r\n');
    assert.equal(encoded([]), '*0\r\n');
    assert.equal(encoded([1, ['a', null]]), '*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n');
  });

  test('that a client would take for another is refused', () => {
    for (const reply of [
      { simple: 'O\nK' },
      { error: 'a\rb' },
      ['x', { error: '\n' }],
      0.5,
      2 ** 53,
      Number.NaN,
      2n ** 63n,
    ]) {
      assert.throws(() => resp.encode(reply), { code: INVALID, op: 'encode' });
    }
  });
});

/** What redis-cli prints for some commands, given one after another on one connection. */
async function cli(t: TestContext, port: number, ...commands: readonly string[]): Promise<string[]> {
  const client = start(t, 'redis-cli', ['-p', String(port)]);
  client.end(`${commands.join('\n')}\n`);
  assert.deepEqual(await client.exit, { code: 0, signal: null });
  return client.out.split('\n').slice(0, -1);
}

describe('examples/redis.ts', () => {
  test('keeps strings, counts and lets them expire, for redis-cli', async (t) => {
    const { server, port } = await startServing(t, 'examples/redis.ts');
    assert.deepEqual(await cli(t, port, 'ping', 'ping hello', 'echo "two words"'), ['PONG', 'hello', 'two words']);
    assert.deepEqual(
      await cli(t, port, 'get a', 'set a 1', 'get a', 'set a 2 nx', 'set b 2 xx', 'set a 3 XX', 'get a'),
      ['', 'OK', '1', '', '', 'OK', '3'],
    );
    assert.deepEqual(await cli(t, port, 'incr a', 'incr n', 'incr n', 'set s word', 'incr s'), [
      '4',
      '1',
      '2',
      'OK',
      'ERR value is not an integer or out of range',
      '',
    ]);
    assert.deepEqual(await cli(t, port, 'ttl a', 'ttl no', 'expire no 5', 'expire a 100', 'ttl a', 'incr a', 'ttl a'), [
      '-1',
      '-2',
      '0',
      '1',
      '100',
      '5',
      '100',
    ]);
    assert.deepEqual(await cli(t, port, 'set a 1 ex 50', 'ttl a', 'set a 1', 'ttl a', 'expire a 0', 'get a'), [
      'OK',
      '50',
      'OK',
      '-1',
      '1',
      '',
    ]);
    assert.deepEqual(await cli(t, port, 'set a 1', 'del a a n no', 'get n'), ['OK', '2', '']);
    assert.equal(server.err, '');
  });

  test('a key is gone when its time has come', async (t) => {
    const { port } = await startServing(t, 'examples/redis.ts');
    assert.deepEqual(await cli(t, port, 'set a 1 px 1'), ['OK']);
    // Another program was started and has ended before it is asked for.
    assert.deepEqual(await cli(t, port, 'ping'), ['PONG']);
    assert.deepEqual(await cli(t, port, 'get a', 'ttl a', 'set a 2 nx'), ['', '-2', 'OK']);
  });

  test('refuses what it does not know, or can’t do, and goes on', async (t) => {
    const { server, port } = await startServing(t, 'examples/redis.ts');
    for (const [command, error] of [
      ['nothing here', 'ERR unknown command "nothing"'],
      ['get', 'ERR wrong number of arguments for "get" command'],
      ['set a 1 ex', 'ERR syntax error'],
      ['set a 1 nx xx', 'ERR syntax error'],
      ['set a 1 ex 0', "ERR invalid expire time in 'set' command"],
      ['set a 1 ex 1.5', 'ERR value is not an integer or out of range'],
      ['set a 1 ex 9223372036854775807', 'ERR invalid expire time'],
      ['set a 1 ex 9223372036854775808', 'ERR value is not an integer or out of range'],
      ['hello 3', 'NOPROTO unsupported protocol version'],
    ] as const) {
      assert.deepEqual(await cli(t, port, command, 'ping'), [error, '', 'PONG'], command);
    }
    assert.deepEqual(await cli(t, port, 'set n 9223372036854775807', 'incr n'), [
      'OK',
      'ERR increment or decrement would overflow',
      '',
    ]);
    assert.equal(server.err, '');
  });

  test('serves redis-benchmark, with 16 requests in flight on each connection', async (t) => {
    const { server, port } = await startServing(t, 'examples/redis.ts');
    const load = ['-p', String(port), '-t', 'ping,set,get,incr', '-P', '16', '-c', '10', '-n', '4800', '--csv'];
    const client = start(t, 'redis-benchmark', load);
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.deepEqual(
      [...client.out.matchAll(/^"(\w+)","\d/gmu)].map(([, name]) => name),
      ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR'],
    );
    assert.equal(client.err, '');
    assert.deepEqual(await cli(t, port, 'get counter:__rand_int__'), ['4800']);
    assert.equal(server.err, '');
  });

  test('takes 20,000 commands in one piece of redis-cli --pipe, and answers each in its turn', async (t) => {
    const { server, port } = await startServing(t, 'examples/redis.ts');
    const client = start(t, 'redis-cli', ['-p', String(port), '--pipe']);
    const words = (...all: readonly string[]): Uint8Array => request(all.map((word) => Buffer.from(word)));
    const sets = Array.from({ length: 10_000 }, (_, i) => words('SET', `key:${i}`, String(i)));
    client.end(Buffer.concat([...sets, ...sets.map(() => words('INCR', 'key:41'))]));
    assert.deepEqual(await client.exit, { code: 0, signal: null }, client.out + client.err);
    assert.match(client.out, /^errors: 0, replies: 20000$/mu);
    assert.deepEqual(await cli(t, port, 'get key:41', 'get key:9999'), ['10041', '9999']);
    assert.equal(server.err, '');
  });

  test('lets a key that redis-cli gave a second live for that second, and no longer', async (t) => {
    const { port } = await startServing(t, 'examples/redis.ts');
    const before = performance.now();
    assert.deepEqual(await cli(t, port, 'set a 1', 'expire a 1'), ['OK', '1']);
    // Asked again and again, as nothing tells when it is gone.
    for (;;) {
      const [value] = await cli(t, port, 'get a');
      if (value === '') break;
      assert.equal(value, '1');
    }
    assert.ok(performance.now() - before >= 1_000);
    assert.deepEqual(await cli(t, port, 'ttl a', 'expire a 1'), ['-2', '0']);
  });

  test('tells subscribers what is published, and forgets them when they go', async (t) => {
    const { port } = await startServing(t, 'examples/redis.ts');
    const one = start(t, 'redis-cli', ['-p', String(port), 'subscribe', 'news', 'sport']);
    const two = start(t, 'redis-cli', ['-p', String(port), 'subscribe', 'news']);
    await one.until(/subscribe\nsport\n2\n/u);
    await two.until(/subscribe\nnews\n1\n/u);
    assert.deepEqual(await cli(t, port, 'publish news hello', 'publish sport goal', 'publish other x'), [
      '2',
      '1',
      '0',
    ]);
    await one.until(/message\nnews\nhello\nmessage\nsport\ngoal\n/u);
    await two.until(/message\nnews\nhello\n/u);
    one.signal('SIGKILL');
    await one.exit;
    // The kill is seen when the server reads: until then the client counts.
    for (;;) {
      const [count] = await cli(t, port, 'publish news again');
      if (count === '1') break;
      assert.equal(count, '2');
    }
    await two.until(/message\nnews\nagain\n/u);
  });

  test('a subscriber may say little else, and everything again when it has left its channels', async (t) => {
    const { port } = await startServing(t, 'examples/redis.ts');
    const client = startNc(t, port, '-N');
    client.end('SUBSCRIBE a a b\r\nGET x\r\nPING\r\nUNSUBSCRIBE\r\nGET x\r\nUNSUBSCRIBE\r\nQUIT\r\nPING\r\n');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    const bulk = (word: string): string => `$${word.length}\r\n${word}\r\n`;
    const told = (kind: string, name: string, count: number): string => `*3\r\n${bulk(kind)}${bulk(name)}:${count}\r\n`;
    assert.equal(
      client.out,
      [
        told('subscribe', 'a', 1),
        told('subscribe', 'a', 1),
        told('subscribe', 'b', 2),
        '-ERR Can\'t execute "get": only SUBSCRIBE, UNSUBSCRIBE, PING and QUIT in this context\r\n',
        `*2\r\n${bulk('pong')}${bulk('')}`,
        told('unsubscribe', 'a', 1),
        told('unsubscribe', 'b', 0),
        '$-1\r\n',
        `*3\r\n${bulk('unsubscribe')}$-1\r\n:0\r\n`,
        '+OK\r\n',
      ].join(''),
    );
  });

  test('a subscriber that does not read has to go, and holds up nobody', async (t) => {
    const { port } = await startServing(t, 'examples/redis.ts');
    const subscriber = await connect(`tcp://127.0.0.1:${port}`, { readAhead: 1 });
    const publisher = await connect(`tcp://127.0.0.1:${port}`);
    t.after(() => endAll(subscriber, publisher));
    void subscriber.write('SUBSCRIBE news\r\n');
    assert.equal(await subscriber.readLine(), '*3');
    const message = request(['PUBLISH', 'news', 'x'.repeat(1_000_000)].map((word) => Buffer.from(word)));
    const counts: (string | null)[] = [];
    for (let i = 0; i < 60; i += 1) {
      void publisher.write(message);
      counts.push(await publisher.readLine());
    }
    assert.equal(counts[0], ':1');
    assert.equal(counts.at(-1), ':0');
  });

  test('what is no request ends that connection, and no other', async (t) => {
    const { server, port } = await startServing(t, 'examples/redis.ts');
    const other = startNc(t, port, '-N');
    other.write('PING\r\n');
    await other.until(/^\+PONG\r\n/u);
    const wrong = startNc(t, port, '-N');
    wrong.write('PING\r\n');
    await wrong.until(/^\+PONG\r\n/u);
    wrong.write('*1\r\nPING\r\nPING\r\n');
    await wrong.exit;
    assert.equal(wrong.out, '+PONG\r\n');
    const browser = startNc(t, port, '-N');
    browser.write('POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n');
    await browser.exit;
    assert.equal(browser.out, '');
    other.end('GET a\r\n');
    await other.exit;
    assert.equal(other.out, '+PONG\r\n$-1\r\n');
    await server.until(/resp: '\$' has to stand before each part of a request/u, 'err');
  });
});

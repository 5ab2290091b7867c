import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { ClosedError } from '../../src/base/errors.ts';
import { OptionsError, checkValue } from '../../src/base/options.ts';
import { encodeProxyHeader, proxyTlvs } from '../../src/codec/proxy-header.ts';
import type { ProxyHeader } from '../../src/codec/proxy-header.ts';
import { compileProxy, effectiveRemote, proxyRule, readProxyHeader } from '../../src/net/proxy-in.ts';
import type { ProxyOptions } from '../../src/net/proxy-in.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { formatAddress } from '../../src/transport/address.ts';
import type { BindTarget } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { refusal } from '../support/refusal.ts';
import { Ear, assertLeft, ends, latin1, onEachTransport, reading, turn, until } from './proxy-support.ts';

const LINE = 'PROXY TCP4 192.0.2.7 198.51.100.1 4321 25\r\n';
const source = { family: 'ipv4', host: '192.0.2.7', port: 4321 } as const;
const destination = { family: 'ipv4', host: '198.51.100.1', port: 25 } as const;
const binary = encodeProxyHeader(
  { version: 2, source, destination, tlvs: proxyTlvs({ uniqueId: latin1('id'), authority: 'example.org' }) },
  { checksum: true },
);

function text(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('latin1');
}

onEachTransport('a header that is read', (transport) => {
  for (const [version, bytes] of [
    [1, latin1(LINE)],
    [2, binary],
  ] as const) {
    test(`of version ${version} comes with what stands behind it, and the rest is for whoever takes over`, async (t) => {
      const { server, client } = await ends(t, transport);
      const { result } = reading(server);
      client.send(bytes);
      client.send(latin1('hello '));
      const { header, rest, ended } = await result;
      assertLeft(server);
      const ear = new Ear(server, false);
      assert.deepEqual([header?.version, header?.source, header?.destination], [version, source, destination]);
      assert.equal(ended, false);
      client.send(latin1('world'));
      for (let i = 0; i < 20; i++) await turn();
      assert.equal(ear.text, '', 'nothing flows before it is asked for');
      client.shutdown();
      server.flow(true);
      await until(() => ear.ended, 'the end');
      assert.equal(text(rest) + ear.text, 'hello world');
    });

    test(`of version ${version} may come byte by byte`, async (t) => {
      const { server, client } = await ends(t, transport);
      const { result } = reading(server);
      for (const byte of bytes) {
        client.send(Uint8Array.of(byte));
        await turn();
      }
      const { header, rest } = await result;
      assert.deepEqual([header?.source, rest], [source, []]);
    });
  }

  test('keeps bytes that were only lent', async (t) => {
    const { server, client } = await ends(t, transport);
    const { result } = reading(server);
    client.send(Buffer.concat([binary, Buffer.alloc(300, 'a')]));
    const { header, rest } = await result;
    const ear = new Ear(server, true);
    for (let round = 1; round <= 20; round++) {
      client.send(Buffer.alloc(5_000, 'z'));
      await until(() => ear.text.length >= 5_000 * round, 'more');
    }
    assert.equal((text(rest) + ear.text).replace(/z+$/u, ''), 'a'.repeat(300));
    assert.equal(header?.authority, 'example.org');
  });

  test('that is none is refused, and nothing is left behind', async (t) => {
    const { server, client } = await ends(t, transport);
    const clock = new VirtualClock();
    const { result } = reading(server, {}, clock);
    assert.equal(clock.armed, 1);
    client.send(latin1('GET / HTTP/1.1\r\n'));
    const error = await refusal(result);
    assertLeft(server);
    assert.equal(error.code, 'ERR_PORTSIDE_PROXY_HEADER');
    assert.equal(
      error.message,
      `${formatAddress(server.remote)}: PROXY header: there is none; the input begins with something else`,
    );
    assert.deepEqual(
      [error.op, error.local, error.remote],
      ['proxy', formatAddress(server.local), formatAddress(server.remote)],
    );
    assert.equal(clock.armed, 0);
  });

  test('that is too long is refused by its length alone', async (t) => {
    const { server, client } = await ends(t, transport);
    const { result } = reading(server, { maxLength: 200 });
    client.send(Buffer.concat([binary.subarray(0, 14), Uint8Array.of(0, 185)]));
    const error = await refusal(result);
    assert.match(error.message, /201 bytes long, and 200 is the limit/);
    assertLeft(server);
  });

  test('that is of a version which isn’t taken is refused', async (t) => {
    const { server, client } = await ends(t, transport);
    const { result } = reading(server, { versions: [2], mode: 'optional' });
    client.send(latin1(LINE));
    assert.match((await refusal(result)).message, /version 1, which is not taken here/);
  });

  for (const mode of ['require', 'optional'] as const) {
    test(`that stops in the middle is refused at the end of its time and not before (${mode})`, async (t) => {
      const { server, client } = await ends(t, transport);
      const clock = new VirtualClock();
      const { result } = reading(server, { timeout: 3_000, mode }, clock);
      let settled = false;
      result.catch(() => (settled = true));
      client.send(latin1(LINE.slice(0, 20)));
      await clock.advance(1_500);
      // More of it is no reason to wait longer.
      client.send(latin1(LINE.slice(20, 30)));
      for (let i = 0; i < 20; i++) await turn();
      await clock.advance(1_499);
      assert.equal(settled, false);
      await clock.advance(1);
      assert.equal(settled, true);
      const error = await refusal(result);
      assert.equal(error.code, 'ERR_PORTSIDE_TIMEOUT');
      assert.match(error.message, /no PROXY header came within 3000 ms/);
      assertLeft(server);
      client.send(latin1(LINE.slice(30)));
      assert.equal(server.closed, false, 'whoever asked ends it');
    });

    test(`that the peer’s end cuts off is refused (${mode})`, async (t) => {
      const { server, client } = await ends(t, transport);
      const { result } = reading(server, { mode });
      client.send(latin1(LINE.slice(0, 20)));
      client.shutdown();
      const error = await refusal(result);
      assert.equal(error.code, 'ERR_PORTSIDE_UNEXPECTED_END');
      assert.match(error.message, /ended 20 bytes into its PROXY header/);
      assertLeft(server);
    });

    test(`that the peer’s reset cuts off is refused with the reset (${mode})`, async (t) => {
      const { server, client } = await ends(t, transport);
      const { result } = reading(server, { mode });
      client.send(latin1(LINE.slice(0, 20)));
      for (let i = 0; i < 5; i++) await turn();
      client.destroy('reset');
      assert.equal((await refusal(result)).code, 'ECONNRESET');
      assertLeft(server);
    });

    test(`that this side gives up on is refused as closed (${mode})`, async (t) => {
      const { server, client } = await ends(t, transport);
      const { result } = reading(server, { mode });
      client.send(latin1(LINE.slice(0, 20)));
      server.destroy('drop');
      assert.ok((await refusal(result)) instanceof ClosedError);
      const again = await refusal(reading(server, { mode }).result);
      assert.equal(again.code, 'ERR_PORTSIDE_UNEXPECTED_END');
      assert.match(again.message, /was over before its PROXY header/);
    });

    test(`that is called off consumes nothing more (${mode})`, async (t) => {
      const { server, client } = await ends(t, transport);
      const clock = new VirtualClock();
      const read = reading(server, { mode }, clock);
      read.cancel();
      read.cancel();
      client.send(latin1(LINE));
      const error = await refusal(read.result);
      assert.equal(error.code, 'ERR_PORTSIDE_ABORTED');
      assertLeft(server);
      assert.equal(clock.armed, 0);
      const ear = new Ear(server, true);
      await until(() => ear.text === LINE, 'the line');
    });
  }

  test('without any bytes before the peer’s end is refused where it is required', async (t) => {
    const { server, client } = await ends(t, transport);
    const { result } = reading(server);
    client.shutdown();
    const error = await refusal(result);
    assert.equal(error.code, 'ERR_PORTSIDE_UNEXPECTED_END');
    assert.match(error.message, /the input ended before its PROXY header/);
  });

  test('can’t be called off when it is there', async (t) => {
    const { server, client } = await ends(t, transport);
    const clock = new VirtualClock();
    const read = reading(server, {}, clock);
    client.send(latin1(LINE));
    const { header } = await read.result;
    const ear = new Ear(server, true);
    read.cancel();
    await clock.advance(10_000);
    client.send(latin1('x'));
    await until(() => ear.text === 'x', 'what comes later');
    assert.equal(server.sink, ear);
    assert.equal(header?.command, 'proxy');
  });
});

onEachTransport('a peer that isn’t listed', (transport) => {
  test('is refused unread where a header is required', async (t) => {
    const { server, client } = await ends(t, transport);
    const clock = new VirtualClock();
    client.send(latin1(LINE));
    const { result } = reading(server, { from: ['192.0.2.0/24', '127.0.0.2', 'unix', 'memory'] }, clock);
    const error = await refusal(result);
    assert.equal(error.code, 'ERR_PORTSIDE_PROXY_HEADER');
    assert.match(error.message, /this address is not among them/);
    assert.equal(error.remote, formatAddress(server.remote));
    assertLeft(server);
    assert.equal(clock.everArmed, 0);
  });

  test('is believed nothing where a header is optional', async (t) => {
    const { server, client } = await ends(t, transport);
    client.send(latin1(LINE));
    const { result } = reading(server, { from: ['192.0.2.7'], mode: 'optional' });
    assert.deepEqual(await result, { header: null, rest: [], ended: false });
    const ear = new Ear(server, true);
    await until(() => ear.text === LINE, 'the line, which is data');
  });
});

onEachTransport('a header that is optional', (transport) => {
  test('is read where there is one', async (t) => {
    const { server, client } = await ends(t, transport);
    const { result } = reading(server, { mode: 'optional' });
    for (const byte of binary) {
      client.send(Uint8Array.of(byte));
      await turn();
    }
    assert.deepEqual((await result).header?.source, source);
  });

  for (const first of ['GET / HTTP/1.1\r\n', 'PROX', 'PROXYING\n', '\r\n\r\n\0\r\nQUIT\r', 'P']) {
    test(`is missed by nobody when the input begins with ${JSON.stringify(first)}`, async (t) => {
      const { server, client } = await ends(t, transport);
      const { result } = reading(server, { mode: 'optional' });
      client.send(latin1(first));
      client.shutdown();
      const { header, rest, ended } = await result;
      const ear = new Ear(server, true);
      if (!ended) await until(() => ear.ended, 'the end');
      assert.equal(header, null);
      assert.equal(text(rest) + ear.text, first);
      // Which of them may still become a header is only known at the end.
      assert.equal(ended, 'PROXY '.startsWith(first));
    });
  }

  test('is missed by nobody when the peer says nothing and ends', async (t) => {
    const { server, client } = await ends(t, transport);
    const { result } = reading(server, { mode: 'optional' });
    client.shutdown();
    assert.deepEqual(await result, { header: null, rest: [], ended: true });
  });
});

describe('peers without a number', () => {
  test('of memory sockets are listed as memory', async () => {
    for (const [from, believed] of [
      [['memory'], true],
      [['any'], true],
      [['unix', 'loopback'], false],
    ] as const) {
      const network = memoryNetwork();
      const [client, server] = network.pair();
      client.send(binary);
      const read = readProxyHeader(server, compileProxy({ from, mode: 'optional' }), network.clock);
      assert.equal((await read.result).header !== null, believed, String(from));
      client.destroy('drop');
      server.destroy('drop');
    }
  });

  onEachTransport('of Unix sockets', (transport) => {
    test('are listed as unix', async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'portside-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      for (const [from, believed] of [
        [['unix'], true],
        [['memory', 'loopback'], false],
      ] as const) {
        const target: BindTarget = { kind: 'unix', path: join(folder, `${String(believed)}.sock`) };
        const { server, client } = await ends(t, transport, target);
        client.send(binary);
        const { header } = await reading(server, { from, mode: 'optional' }).result;
        assert.equal(header !== null, believed, String(from));
      }
    });
  });
});

describe('options of PROXY', () => {
  const problems = (options: unknown): string[] => {
    try {
      checkValue('listen', 'proxy', proxyRule, options);
    } catch (error) {
      assert.ok(error instanceof OptionsError);
      return error.problems.map(({ path, message }) => `${path} ${message}`);
    }
    return [];
  };

  test('are right in these forms', () => {
    const rows: ProxyOptions[] = [
      { from: ['10.0.0.0/8'] },
      { from: ['::1', 'unix', 'memory', 'private'], mode: 'optional', timeout: 1, versions: [2], maxLength: 107 },
    ];
    for (const row of rows) assert.deepEqual(problems(row), []);
  });

  test('are told all that is wrong with them', () => {
    assert.deepEqual(problems({}).length, 1);
    assert.match(problems({})[0] ?? '', /^proxy\.from is required/);
    assert.deepEqual(problems({ from: [] }), ['proxy.from must name one proxy or more, since nobody else is believed']);
    const wrong = { from: ['10.0.0.1/8', 'nginx'], mode: 'maybe', timeout: 0, versions: [3], maxLength: 20, trust: 1 };
    const paths = new Set(problems(wrong).map((problem) => problem.split(' ', 1)[0]));
    const all = [
      'proxy.from[0]',
      'proxy.from[1]',
      'proxy.maxLength',
      'proxy.mode',
      'proxy.timeout',
      'proxy.trust',
      'proxy.versions[0]',
    ];
    assert.deepEqual(paths, new Set(all));
  });

  test('have defaults that require a header of either version within 5 seconds and 4096 bytes', async (t) => {
    const proxy = compileProxy({ from: ['loopback'] });
    assert.deepEqual([proxy.required, proxy.timeout], [true, 5_000]);
    const network = memoryNetwork();
    for (const length of [4_096, 4_097]) {
      const { server, client } = await ends(t, network.transport);
      const tlvs = [{ type: 0xe0, value: new Uint8Array(length - 16 - 12 - 3) }];
      client.send(encodeProxyHeader({ version: 2, source, destination, tlvs }));
      const { result } = readProxyHeader(server, proxy, network.clock);
      if (length === 4_096) assert.equal((await result).header?.tlvs.length, 1);
      else assert.match((await refusal(result)).message, /4097 bytes long, and 4096 is the limit/);
    }
  });
});

describe('the effective client', () => {
  const of = (from: Partial<ProxyHeader>): ReturnType<typeof effectiveRemote> => effectiveRemote(from as ProxyHeader);

  test('is the header’s source, with mapped IPv6 as the IPv4 that it carries', () => {
    assert.deepEqual(of({ source }), source);
    assert.deepEqual(of({ source: { family: 'ipv6', host: '::ffff:192.0.2.7', port: 4321 } }), source);
    assert.deepEqual(of({ source: { family: 'ipv6', host: '::1', port: 1 } }), {
      family: 'ipv6',
      host: '::1',
      port: 1,
    });
    assert.deepEqual(of({ source: { family: 'unix', path: '/a' } }), { family: 'unix', path: '/a' });
  });

  test('is not told by a header without addresses', () => {
    assert.equal(of({ source: null }), null);
  });
});

import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { dig, freePort, startUnbound, withoutDns } from '../support/dns.ts';
import type { Dug, Unbound } from '../support/dns.ts';
import { inCheckout, start, startNc, startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { build } from './dns-building.ts';
import { next, socketFor, startResolver } from './dns-running.ts';

const ZONE = 'lab.example';
const LONG = Array.from({ length: 20 }, (_, i) => `"${String(i).padStart(2, '0')}${'x'.repeat(98)}"`);
const records = [
  // What is not there is so for two seconds.
  '@ 300 IN SOA ns root 1 3600 600 86400 2',
  '@ 300 IN NS ns',
  '@ 300 IN A 192.0.2.5',
  'ns 300 IN A 192.0.2.1',
  'host 300 IN A 192.0.2.7',
  'host 300 IN AAAA 2001:db8::7',
  'alias 300 IN CNAME host',
  'brief 2 IN A 192.0.2.8',
  'never 0 IN A 192.0.2.9',
  ...LONG.map((text) => `long 300 IN TXT ${text}`),
];

/** The resolver in front of a real server. */
async function resolving(t: TestContext): Promise<{ unbound: Unbound; resolver: Program; port: number }> {
  const unbound = await startUnbound(t, ZONE, records);
  return { unbound, ...(await startResolver(t, unbound.port)) };
}

const data = (records: readonly Dug[]): string[] => records.map((record) => record.data);

describe('examples/dns-resolver.ts', { skip: withoutDns(), concurrency: 2 }, () => {
  test('resolves what there is, and tells what there is not', async (t) => {
    const { port } = await resolving(t);
    const host = await dig(t, port, `host.${ZONE}`);
    assert.deepEqual(data(host.answers), ['192.0.2.7']);
    assert.deepEqual(host.flags, ['qr', 'rd', 'ra']);
    assert.deepEqual(data((await dig(t, port, `host.${ZONE}`, 'AAAA')).answers), ['2001:db8::7']);
    const alias = await dig(t, port, `AliaS.${ZONE}`);
    assert.deepEqual(
      alias.answers.map(({ name, type, data: what }) => [name.toLowerCase(), type, what.toLowerCase()]),
      [
        [`alias.${ZONE}.`, 'CNAME', `host.${ZONE}.`],
        [`host.${ZONE}.`, 'A', '192.0.2.7'],
      ],
    );
    assert.match(alias.text, /^;AliaS\.lab\.example\./mu, 'in the spelling of who asks');
    const nobody = await dig(t, port, `nobody.${ZONE}`);
    assert.equal(nobody.status, 'NXDOMAIN');
    assert.deepEqual(nobody.authorities[0]?.type, 'SOA');
    const other = await dig(t, port, `host.${ZONE}`, 'MX');
    assert.deepEqual([other.status, other.answers], ['NOERROR', []]);
  });

  test('asks once for what it has been told, and tells what is left of its time', async (t) => {
    const { unbound, port } = await resolving(t);
    const first = await dig(t, port, `host.${ZONE}`);
    assert.equal(first.answers[0]?.ttl, 300);
    let ttl = 300;
    while (ttl === 300) {
      const [again] = (await dig(t, port, `HOST.${ZONE}`)).answers;
      assert.equal(again?.data, '192.0.2.7');
      ttl = again.ttl;
    }
    assert.ok(ttl < 300 && ttl > 270, String(ttl));
    assert.equal(unbound.asked(`host.${ZONE}`), 1);
    await dig(t, port, `host.${ZONE}`, '+dnssec');
    assert.equal(unbound.asked(`host.${ZONE}`), 2, 'with signatures it is another question');
  });

  for (const [name, status] of [
    ['brief', 'NOERROR'],
    ['nobody', 'NXDOMAIN'],
  ] as const) {
    test(`asks again when the time of an answer is over: ${status}`, async (t) => {
      const { unbound, port } = await resolving(t);
      const begun = performance.now();
      for (let ttl = 2; unbound.asked(`${name}.${ZONE}`) < 2;) {
        const { answers, authorities, status: got } = await dig(t, port, `${name}.${ZONE}`);
        assert.equal(got, status);
        const [record] = [...answers, ...authorities];
        assert.ok(record !== undefined);
        const isFresh = unbound.asked(`${name}.${ZONE}`) === 2;
        assert.ok(isFresh ? record.ttl === 2 : record.ttl <= ttl, `${ttl}, then ${record.ttl}`);
        ({ ttl } = record);
      }
      assert.ok(performance.now() - begun >= 2_000);
    });
  }

  test('does not keep what holds for no time', async (t) => {
    const { unbound, port } = await resolving(t);
    for (let i = 1; i <= 3; i += 1) {
      const { answers } = await dig(t, port, `never.${ZONE}`);
      assert.deepEqual(answers[0], { name: `never.${ZONE}.`, ttl: 0, type: 'A', data: '192.0.2.9' });
      assert.equal(unbound.asked(`never.${ZONE}`), i);
    }
  });

  test('asks once for twenty who ask the same', async (t) => {
    const { unbound, port } = await resolving(t);
    const all = await Promise.all(Array.from({ length: 20 }, () => dig(t, port, `host.${ZONE}`)));
    for (const { answers } of all) assert.deepEqual(data(answers), ['192.0.2.7']);
    assert.equal(unbound.asked(`host.${ZONE}`), 1);
  });

  test('truncates what is too long for UDP, and gives all of it by TCP', async (t) => {
    const { unbound, port } = await resolving(t);
    for (const size of ['+noedns', '+bufsize=512', '+bufsize=4096']) {
      const cut = await dig(t, port, `long.${ZONE}`, 'TXT', '+notcp', '+ignore', size);
      assert.deepEqual(cut.flags, ['qr', 'tc', 'rd', 'ra'], size);
      assert.deepEqual(cut.answers, []);
      // dig comes again by TCP.
      const whole = await dig(t, port, `long.${ZONE}`, 'TXT', size);
      assert.match(whole.text, /Truncated, retrying in TCP mode/u);
      assert.deepEqual(data(whole.answers).toSorted(), LONG);
    }
    assert.deepEqual(data((await dig(t, port, `long.${ZONE}`, 'TXT', '+tcp')).answers).toSorted(), LONG);
    assert.equal(unbound.asked(`long.${ZONE}`, 'TXT'), 2, 'once by UDP and once by TCP');
    const several = await dig(t, port, '+tcp', '+keepopen', `host.${ZONE}`, `host.${ZONE}`, 'AAAA');
    assert.match(several.text, /192\.0\.2\.7[^]*2001:db8::7/u);
  });

  test('refuses what it does not do', async (t) => {
    const { unbound, port } = await resolving(t);
    const status = async (...args: string[]): Promise<string | undefined> => (await dig(t, port, ...args)).status;
    assert.equal(await status('version.bind', 'TXT', 'CH'), 'REFUSED');
    assert.equal(await status(`host.${ZONE}`, '+norecurse'), 'REFUSED');
    assert.equal(await status(`host.${ZONE}`, '+opcode=NOTIFY'), 'NOTIMP');
    assert.equal(await status(`host.${ZONE}`, '+edns=1', '+noednsneg'), 'BADVERS');
    for (const type of ['AXFR', 'IXFR=1'])
      assert.match((await dig(t, port, ZONE, type)).text, /; Transfer failed\./u, type);
    assert.equal(unbound.asked(ZONE, 'AXFR') + unbound.asked(ZONE, 'IXFR') + unbound.asked(`host.${ZONE}`), 0);
  });

  test('does not fall over whatever it is sent', async (t) => {
    const { resolver, port } = await resolving(t);
    const socket = await socketFor(t);
    const to = { host: '127.0.0.1', port };
    const good = build({ id: 1, flags: 0x0100, name: `host.${ZONE}` });
    for (let i = 0; i < 4_000; i += 1) {
      const bytes = i % 2 === 0 ? randomBytes(randomInt(0, 600)) : Buffer.from(good);
      if (i % 2 === 1) for (let k = 0; k < 3; k += 1) bytes[randomInt(2, 12)] = randomInt(0, 256);
      await socket.send(bytes, to);
      // Among so many a packet may get lost.
      if (i % 500 === 499) {
        const { answers } = await dig(t, port, `host.${ZONE}`, '+tries=5', '+timeout=2');
        assert.deepEqual(data(answers), ['192.0.2.7']);
      }
    }
    const socat = start(t, 'socat', ['-', `UDP:127.0.0.1:${port}`]);
    socat.end('this is no question at all, is it?\n');
    assert.equal((await socat.exit).code, 0);
    const short = startNc(t, port, '-u', '-w1');
    short.end('short');
    await short.exit;
    for (const garbage of [
      randomBytes(3_000),
      Buffer.from([0, 3, 1, 2, 3]),
      Buffer.alloc(2),
      Buffer.from('GET / HTTP/1.0\r\n\r\n'),
    ]) {
      const nc = startNc(t, port, '-N');
      nc.end(garbage);
      await nc.exit;
    }
    assert.deepEqual(data((await dig(t, port, `host.${ZONE}`, '+tcp')).answers), ['192.0.2.7']);
    assert.equal(resolver.err, '');
  });

  test('answers garbage with an error where it has a number, and else not at all', async (t) => {
    const { port } = await resolving(t);
    const socket = await socketFor(t);
    const to = { host: '127.0.0.1', port };
    const query = build({ id: 0x1234, flags: 0x0100, name: `host.${ZONE}` });
    await socket.send(query.subarray(0, 11), to);
    await socket.send(build({ id: 1, flags: 0x8180, name: `host.${ZONE}` }), to);
    await socket.send(query.subarray(0, 16), to);
    // What was not answered would have been before this.
    const { data: answer } = await next(socket);
    assert.deepEqual(Buffer.from(answer).toString('hex'), '12348181' + '0000'.repeat(4));
  });

  test('is tried as its comment says', async (t) => {
    const unbound = await startUnbound(t, 'example.com', records);
    const [head] = /^(?:\/\/.*\n)+/u.exec(readFileSync(inCheckout('examples/dns-resolver.ts'), 'utf8')) ?? [''];
    const [command = '', ...clients] = [...head.matchAll(/^\/\/ {3}(\S.*)$/gmu)].map(([, line = '']) => line);
    const [, args = ''] = /^node (.*)$/u.exec(command) ?? [];
    assert.match(args, /--port 5353 .*127\.0\.0\.1:53$/u);
    const own = String(await freePort());
    const resolver = startNode(t, args.replace('5353', own).replace(':53', `:${unbound.port}`).split(' '));
    await resolver.until(/Resolving/u);
    assert.ok(clients.length >= 2);
    for (const client of clients) {
      const [program = '', ...words] = client.replace('5353', own).split(' ');
      const digging = start(t, program, words);
      assert.deepEqual(await digging.exit, { code: 0, signal: null });
      assert.match(digging.out, /192\.0\.2\.5/u);
    }
  });

  test('ends at a signal, and leaves its port', async (t) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const { resolver, port } = await resolving(t);
      await dig(t, port, `host.${ZONE}`);
      const idle = startNc(t, port);
      await dig(t, port, `host.${ZONE}`, '+tcp');
      resolver.signal(signal);
      assert.deepEqual(await resolver.exit, { code: 0, signal: null }, resolver.err);
      assert.equal(resolver.err, '');
      idle.end();
      await idle.exit;
    }
  });

  test('says why when it can not begin', async (t) => {
    const { port } = await resolving(t);
    const cases: readonly (readonly [readonly string[], RegExp, number])[] = [
      [['--port', String(port), '--upstream', '127.0.0.1'], /EADDRINUSE|in use/u, 1],
      [['--port', '0'], /--upstream/u, 2],
      [['--port', '0', '--upstream', 'localhost'], /an address/u, 2],
      [['--port', '0', '--upstream', '127.0.0.1:0'], /an address/u, 2],
      [['--port', '70000', '--upstream', '127.0.0.1'], /port/u, 2],
    ];
    for (const [args, why, code] of cases) {
      const second = startNode(t, ['examples/dns-resolver.ts', ...args]);
      assert.deepEqual(await second.exit, { code, signal: null }, args.join(' '));
      assert.match(second.err, why);
    }
  });
});

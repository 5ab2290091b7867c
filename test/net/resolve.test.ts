import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveHost } from '../../src/net/resolve.ts';
import type { Lookup } from '../../src/net/resolve.ts';
import { refusal } from '../support/refusal.ts';

const never: Lookup = () => assert.fail('nobody should be asked');

function answering(...addresses: string[]): Lookup {
  return async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
}

function failing(code: string): Lookup {
  return () => Promise.reject(Object.assign(new Error(`getaddrinfo ${code}`), { code }));
}

describe('resolving a host', () => {
  test('numeric hosts are given back as they are, without a lookup', async () => {
    for (const host of ['127.0.0.1', '::1', 'fe80::1%eth0', 'fe80::1%br_lan', '::ffff:1.2.3.4']) {
      const family = host.includes(':') ? 'ipv6' : 'ipv4';
      assert.deepEqual(await resolveHost(host, { role: 'server', lookup: never }), [{ host, family }]);
    }
  });

  test('localhost is this machine, by the system’s own lookup', async () => {
    const hosts = await resolveHost('localhost', { role: 'client' });
    assert.ok(hosts.length > 0);
    for (const { host, family } of hosts) assert.ok(family === 'ipv6' ? host === '::1' : host.startsWith('127.'), host);
  });

  test('families choose among the addresses', async () => {
    const hosts = await resolveHost('localhost', { role: 'client', families: ['ipv4'] });
    assert.ok(hosts.length > 0 && hosts.every(({ family }) => family === 'ipv4'));
  });

  test('one family is asked for alone, two are asked for at once', async () => {
    const asked: number[] = [];
    const lookup: Lookup = async (_, { family }) => {
      asked.push(family);
      return [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ];
    };
    assert.equal((await resolveHost('a', { role: 'client', families: ['ipv4'], lookup })).length, 1);
    assert.equal((await resolveHost('a', { role: 'client', families: ['ipv6'], lookup })).length, 1);
    assert.equal((await resolveHost('a', { role: 'client', families: ['ipv6', 'ipv4'], lookup })).length, 2);
    assert.deepEqual(asked, [4, 6, 0]);
  });

  test('the order is the system’s, and each address comes once', async () => {
    const lookup = answering('::1', '127.0.0.1', '::1', '127.0.0.2', '127.0.0.1');
    const hosts = await resolveHost('a', { role: 'client', lookup });
    assert.deepEqual(
      hosts.map(({ host }) => host),
      ['::1', '127.0.0.1', '127.0.0.2'],
    );
  });

  test('a numeric host that is not of the wanted families is an error that says so', async () => {
    const { code, message } = await refusal(resolveHost('::1', { role: 'server', families: ['ipv4'] }));
    assert.equal(code, 'ERR_PORTSIDE_OPTIONS');
    assert.match(message, /::1 is an IPv6 address, and families leaves those out \(ipv4\)\. Add "ipv6"/u);
  });

  test('an unknown name keeps the system’s code and says what to do', async () => {
    const { code, message, op } = await refusal(
      resolveHost('no-such-host.invalid', { role: 'client', signal: AbortSignal.timeout(30_000) }),
    );
    assert.ok(['ENOTFOUND', 'EAI_AGAIN'].includes(code), code);
    assert.match(
      message,
      /^Can't connect to "no-such-host\.invalid": .*(?:Check how it is spelt|try again later).* \((?:ENOTFOUND|EAI_AGAIN)\)\.$/u,
    );
    assert.equal(op, 'connect');
  });

  for (const [code, says] of [
    ['ENOTFOUND', /Check how it is spelt/u],
    ['EAI_AGAIN', /did not answer/u],
    ['EAI_FAIL', /the lookup failed/u],
    ['toString', /the lookup failed/u],
  ] as const) {
    test(`${code} keeps its code and its cause`, async () => {
      const error = await refusal(resolveHost('a', { role: 'server', lookup: failing(code) }));
      assert.equal(error.code, code);
      assert.match(error.message, says);
      assert.match(error.message, /^Can't listen on "a"/u);
      assert.equal(error.op, 'listen');
      assert.match(String(error.cause), /getaddrinfo/u);
    });
  }

  test('an empty answer is a name that is not found', async () => {
    assert.equal((await refusal(resolveHost('a', { role: 'client', lookup: answering() }))).code, 'ENOTFOUND');
    assert.equal(
      (await refusal(resolveHost('a', { role: 'client', families: ['ipv6'], lookup: answering('1.2.3.4') }))).code,
      'ENOTFOUND',
    );
  });

  test('a signal that was aborted before stops it before anybody is asked', async () => {
    const reason = new Error('enough');
    await assert.rejects(
      resolveHost('a', { role: 'client', signal: AbortSignal.abort(reason), lookup: never }),
      reason,
    );
    await assert.rejects(resolveHost('127.0.0.1', { role: 'client', signal: AbortSignal.abort(reason) }), reason);
  });

  test('an abort ends the wait with the signal’s reason, and what comes late is not an unhandled rejection', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    let fail: (error: Error) => void = () => {};
    const late = new Promise<never>((_, reject) => (fail = reject));
    const pending = resolveHost('a', { role: 'client', signal: controller.signal, lookup: () => late });
    controller.abort(reason);
    await assert.rejects(pending, reason);
    fail(Object.assign(new Error('late'), { code: 'ENOTFOUND' }));
    await new Promise(setImmediate);
  });

  test('an abort without a reason of one’s own gives an AbortError', async () => {
    const controller = new AbortController();
    const pending = resolveHost('a', {
      role: 'client',
      signal: controller.signal,
      lookup: () => new Promise(() => {}),
    });
    controller.abort();
    await assert.rejects(pending, { name: 'AbortError' });
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectHint, quoted, secureAddresses } from '../../src/cli/hints.ts';
import type { Address } from '../../src/transport/address.ts';

const tcp = (host: string, port: number): Address => ({ family: host.includes(':') ? 'ipv6' : 'ipv4', host, port });
const tls = { cert: 'c', key: 'k' };

describe('how to connect', () => {
  const hints: readonly (readonly [Address, boolean, string | null, string | null])[] = [
    [tcp('127.0.0.1', 1), false, null, 'nc 127.0.0.1 1'],
    [tcp('0.0.0.0', 1), false, null, 'nc 127.0.0.1 1'],
    [tcp('::', 1), false, null, 'nc ::1 1'],
    [tcp('::', 1), true, null, 'openssl s_client -connect [::1]:1'],
    [
      tcp('192.0.2.1', 1),
      true,
      "it's/a.crt",
      String.raw`openssl s_client -connect 192.0.2.1:1 -CAfile 'it'\''s/a.crt'`,
    ],
    [{ family: 'unix', path: '/run/x y' }, false, null, "nc -U '/run/x y'"],
    [{ family: 'unix', path: '/run/x' }, true, null, 'openssl s_client -unix /run/x'],
    [{ family: 'unix', path: '\0chat' }, false, null, 'socat - ABSTRACT-CONNECT:chat'],
    [{ family: 'unix', path: '\0chat' }, true, null, null],
    [{ family: 'memory', name: 'x' }, false, null, null],
  ];
  for (const [address, secure, file, hint] of hints) {
    test(hint ?? `${JSON.stringify(address)} can not be told`, () => {
      assert.equal(connectHint(address, secure, file), hint);
    });
  }

  test('a word is quoted where a shell would take it apart, or do what it says', () => {
    assert.equal(quoted('a-b.c/d:e,f@g%h+i=j'), 'a-b.c/d:e,f@g%h+i=j');
    assert.equal(quoted('$(reboot)'), "'$(reboot)'");
    assert.equal(quoted(''), "''");
  });
});

describe('which addresses begin with TLS', () => {
  test('all, with the certificate of the server, but those that say tcp://', () => {
    const listen = [
      'tcp://:1',
      'tls://:2',
      3,
      { kind: 'tcp', host: undefined, port: 4 },
      { port: 5 },
      'TCP://:6',
    ] as const;
    const addresses = [1, 2, 3, 4, 5, 6].map((port) => tcp('::', port));
    assert.deepEqual(secureAddresses({ listen, tls }, addresses), [false, true, true, false, true, false]);
    assert.deepEqual(secureAddresses({ listen: 'tcp://:1' }, addresses.slice(0, 1)), [false]);
    assert.deepEqual(secureAddresses({ port: 1, tls }, addresses.slice(0, 1)), [true]);
  });

  test('those that have a certificate of their own', () => {
    const listen = [{ port: 1 }, { port: 2, tls }];
    assert.deepEqual(secureAddresses({ listen }, [tcp('::', 1), tcp('::', 2)]), [false, true]);
  });

  test('a host with several addresses is one endpoint', () => {
    const addresses = [tcp('::1', 7), tcp('127.0.0.1', 7), tcp('127.0.0.1', 8)];
    assert.deepEqual(secureAddresses({ listen: ['localhost:7', 'tcp://:8'], tls }, addresses), [true, true, false]);
    assert.deepEqual(secureAddresses({ listen: ['tcp://:8', 'localhost:7'], tls }, addresses.toReversed()), [
      false,
      true,
      true,
    ]);
    const same = [tcp('127.0.0.1', 7), tcp('::1', 7)];
    assert.deepEqual(secureAddresses({ listen: ['tcp://127.0.0.1:7', 'tls://[::1]:7'], tls }, same), [false, true]);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ucspiEnvironment, withoutUcspi } from '../../src/cli/ucspi.ts';
import type { Address } from '../../src/transport/address.ts';

const server: Address = { family: 'ipv6', host: '2001:db8::1', port: 25 };
const client: Address = { family: 'ipv6', host: '2001:db8::2', port: 40_000 };

describe('the environment of UCSPI', () => {
  test('names both ends of a TCP connection, and its number where that is known', () => {
    const both = {
      PROTO: 'TCP',
      TCPREMOTEIP: '2001:db8::2',
      TCPREMOTEPORT: '40000',
      TCPLOCALIP: '2001:db8::1',
      TCPLOCALPORT: '25',
    };
    assert.deepEqual(ucspiEnvironment({ local: server, remote: client }), both);
    assert.deepEqual(ucspiEnvironment({ local: server, remote: client, connections: 3 }), { ...both, TCPCONNNUM: '3' });
  });

  test('of TLS has what was agreed on, and stays TCP', () => {
    const tls = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', servername: 'mail.example' };
    const told = ucspiEnvironment({ local: server, remote: client, tls });
    assert.equal(told['PROTO'], 'TCP');
    assert.equal(told['SSL_PROTOCOL'], 'TLSv1.3');
    assert.equal(told['SSL_CIPHER'], 'TLS_AES_256_GCM_SHA384');
    assert.equal(told['SSL_TLS_SNI_SERVERNAME'], 'mail.example');
    for (const servername of [null, 'a\0b'])
      assert.ok(
        !('SSL_TLS_SNI_SERVERNAME' in ucspiEnvironment({ local: server, remote: client, tls: { ...tls, servername } })),
      );
    assert.ok(!('SSL_PROTOCOL' in ucspiEnvironment({ local: server, remote: client, tls: null })));
  });

  test('names the paths of a Unix domain socket, which can hold no NUL', () => {
    const unix = (path: string): Address => ({ family: 'unix', path });
    assert.deepEqual(ucspiEnvironment({ local: unix('/run/x'), remote: unix('') }), {
      PROTO: 'IPC',
      IPCLOCALPATH: '/run/x',
    });
    assert.deepEqual(ucspiEnvironment({ local: unix('\0x'), remote: unix('\0a\0b'), connections: 2 }), {
      PROTO: 'IPC',
      IPCLOCALPATH: '@x',
      IPCREMOTEPATH: '@a@b',
    });
  });

  test('has the client behind a proxy on a Unix domain socket, and nothing of a connection in memory', () => {
    assert.deepEqual(ucspiEnvironment({ local: { family: 'unix', path: '/run/x' }, remote: client }), {
      PROTO: 'TCP',
      TCPREMOTEIP: '2001:db8::2',
      TCPREMOTEPORT: '40000',
    });
    const memory: Address = { family: 'memory', name: 'x' };
    assert.deepEqual(ucspiEnvironment({ local: memory, remote: memory }), {});
  });

  test('is inherited by nobody', () => {
    const stale =
      'PROTO TCPREMOTEIP TCPREMOTEPORT TCPREMOTEHOST TCPREMOTEINFO TCPLOCALIP TCPLOCALPORT TCPLOCALHOST TCPCONNNUM';
    const more =
      'IPCREMOTEPATH IPCREMOTEEUID IPCREMOTEEGID IPCLOCALPATH IPCCONNNUM SSL_PROTOCOL SSL_CIPHER SSL_TLS_SNI_SERVERNAME';
    const env: Record<string, string> = { PATH: '/bin', SSL_CERT_FILE: 'kept', TCPX: 'kept' };
    for (const name of `${stale} ${more}`.split(' ')) env[name] = 'stale';
    assert.deepEqual(withoutUcspi(env), { PATH: '/bin', SSL_CERT_FILE: 'kept', TCPX: 'kept' });
  });
});

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { certificateName } from '../../src/cli/certificate-name.ts';
import { selfSigned } from '../../src/cli/self-signed.ts';
import type { SelfSigned, SelfSignedOptions } from '../../src/cli/self-signed.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { start, startNode } from '../support/program.ts';

const DAY = 86_400_000;

let base = '';
let made = 0;
before(async () => {
  base = await mkdtemp(join(tmpdir(), 'portside-self-signed-'));
});
after(() => rm(base, { recursive: true }));

/** The name of a folder that is not there yet. */
function fresh(): string {
  made += 1;
  return join(base, `f${made}`);
}

/** Makes one as it would be made so many days from now. */
async function inDays(days: number, options: SelfSignedOptions): Promise<SelfSigned> {
  const scope = new Scope({ clock: new VirtualClock({ wall: Date.now() + days * DAY }) });
  try {
    return await scope.run(() => selfSigned(options));
  } finally {
    await scope.close();
  }
}

describe('a self-signed certificate', () => {
  test('is for its hosts and for servers alone, by what openssl makes of it', async (t) => {
    const hosts = [
      'localhost',
      '*.dev.example',
      'MÜNCHEN.example',
      '127.0.0.1',
      '::1',
      'FE80:0::1',
      '::ffff:192.0.2.7',
    ];
    const { cert, fingerprint256 } = await selfSigned({ hosts });
    const openssl = start(t, 'openssl', ['x509', '-noout', '-text', '-fingerprint', '-sha256']);
    openssl.end(cert);
    assert.deepEqual(await openssl.exit, { code: 0, signal: null });
    const text = openssl.out;
    assert.match(text, /Issuer: CN = portside self-signed\n/u);
    assert.match(text, /Subject: CN = portside self-signed\n/u);
    assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/u);
    assert.match(text, /NIST CURVE: P-256/u);
    assert.match(text, /Basic Constraints: critical\n\s+CA:FALSE\n/u);
    assert.match(text, /X509v3 Key Usage: critical\n\s+Digital Signature\n/u);
    assert.match(text, /Extended Key Usage: ?\n\s+TLS Web Server Authentication\n/u);
    const [, names] = /Subject Alternative Name: ?\n\s+(.*)\n/u.exec(text) ?? [];
    assert.deepEqual(names?.split(', '), [
      'DNS:localhost',
      'DNS:*.dev.example',
      'DNS:xn--mnchen-3ya.example',
      'IP Address:127.0.0.1',
      'IP Address:0:0:0:0:0:0:0:1',
      'IP Address:FE80:0:0:0:0:0:0:1',
      'IP Address:192.0.2.7',
    ]);
    assert.ok(text.toUpperCase().includes(`FINGERPRINT=${fingerprint256}`));
  });

  test('is verified by openssl with nothing but itself, for a server and for nothing else', async (t) => {
    const file = join(base, 'verify.crt');
    await writeFile(file, (await selfSigned()).cert);
    const verify = async (...options: readonly string[]): Promise<number | null> => {
      const openssl = start(t, 'openssl', ['verify', '-x509_strict', ...options, '-CAfile', file, file]);
      return (await openssl.exit).code;
    };
    assert.equal(await verify(), 0);
    assert.equal(await verify('-purpose', 'sslserver', '-verify_hostname', 'localhost'), 0);
    assert.equal(await verify('-purpose', 'sslserver', '-verify_ip', '::1'), 0);
    assert.notEqual(await verify('-purpose', 'sslclient'), 0);
    assert.notEqual(await verify('-verify_hostname', 'other.example'), 0);
  });

  test('serves TLS to a client that trusts it, by name and by address, and to no other', async (t) => {
    const { cert, key, fingerprint256 } = await selfSigned();
    const server = createServer({ cert, key }, (socket) => socket.end('hello'));
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    for (const name of [{ servername: 'localhost' }, { host: '127.0.0.1' }]) {
      const client = connect({ port, host: '127.0.0.1', ca: cert, ...name });
      await once(client, 'secureConnect');
      assert.equal(client.authorized, true);
      assert.equal(client.getPeerX509Certificate()?.fingerprint256, fingerprint256);
      client.destroy();
    }
    for (const [options, code] of [
      [{}, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      [{ ca: cert, servername: 'other.example' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ] as const) {
      const client = connect({ port, host: '127.0.0.1', ...options });
      const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, code);
    }
  });

  test('is another one each time, with a serial number and a key of its own', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => selfSigned()));
    const parsed = all.map(({ cert }) => new X509Certificate(cert));
    assert.equal(new Set(parsed.map(({ serialNumber }) => serialNumber)).size, all.length);
    assert.equal(new Set(all.map(({ key }) => key)).size, all.length);
    // RFC 5280 section 4.1.2.2: positive, 20 bytes at most. This is what is left of 72 random bits.
    for (const { serialNumber } of parsed) assert.match(serialNumber, /^(?!00)[\dA-F]{10,20}$/u);
  });

  test('is valid for the days that are asked for, from now', async () => {
    const before = Date.now();
    const { cert, notAfter, created, renewed } = await selfSigned({ days: 3 });
    assert.deepEqual({ created, renewed }, { created: true, renewed: null });
    const { validFromDate, validToDate } = new X509Certificate(cert);
    assert.deepEqual(notAfter, validToDate);
    assert.equal(validToDate.getTime() - validFromDate.getTime(), 3 * DAY);
    assert.ok(validFromDate.getTime() <= before && validFromDate.getTime() > before - 60_000);
  });

  test('brings the package that makes it only when one is made', async (t) => {
    const loaded = `Object.keys(require.cache).some((file) => file.includes('selfsigned'))`;
    const text = `
      import { createRequire } from 'node:module';
      const require = createRequire(import.meta.url);
      const { selfSigned } = await import('./src/cli/self-signed.ts');
      console.log(${loaded});
      await selfSigned();
      console.log(${loaded});`;
    const program = startNode(t, ['--input-type=module', '-e', text]);
    assert.deepEqual(await program.exit, { code: 0, signal: null }, program.err);
    assert.equal(program.out, 'false\ntrue\n');
  });
});

describe('a folder that keeps it', () => {
  const crt = (folder: string): string => join(folder, 'portside.crt');
  const key = (folder: string): string => join(folder, 'portside.key');

  test('is made, for its owner alone, and has the pair and nothing else', async () => {
    const folder = join(fresh(), 'inner');
    const made = await selfSigned({ folder });
    assert.equal(made.created, true);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    assert.equal((await stat(join(folder, '..'))).mode & 0o777, 0o700);
    assert.equal((await stat(key(folder))).mode & 0o777, 0o600);
    assert.deepEqual((await readdir(folder)).sort(), ['portside.crt', 'portside.key']);
    assert.equal(await readFile(crt(folder), 'utf8'), made.cert);
    assert.equal(await readFile(key(folder), 'utf8'), made.key);
  });

  test('gives the same pair again, for the same hosts and for some of them', async () => {
    const folder = fresh();
    const hosts = ['localhost', '*.dev.example', '::1', '127.0.0.1'];
    const first = await selfSigned({ folder, hosts });
    for (const some of [hosts, ['LOCALHOST'], ['0:0:0:0:0:0:0:1'], ['*.dev.example', '127.0.0.1']]) {
      const again = await selfSigned({ folder, hosts: some });
      assert.deepEqual(again, { ...first, created: false });
    }
  });

  const DAMAGE: readonly (readonly [string, (folder: string) => Promise<unknown>, RegExp])[] = [
    [
      'a certificate that is damaged',
      (folder) => writeFile(crt(folder), 'no such thing'),
      /^portside\.crt was damaged$/u,
    ],
    ['a certificate that is cut off', (folder) => truncate(crt(folder), 300), /^portside\.crt was damaged$/u],
    ['a certificate that is gone', (folder) => rm(crt(folder)), /^portside\.crt was missing$/u],
    ['a key that is damaged', (folder) => truncate(key(folder), 100), /^portside\.key was damaged$/u],
    ['a key that is huge', (folder) => writeFile(key(folder), 'x'.repeat(1e6)), /^portside\.key was damaged$/u],
    ['a key that is gone', (folder) => rm(key(folder)), /^portside\.key was missing$/u],
    [
      'a key of another certificate',
      async (folder) => writeFile(key(folder), (await selfSigned()).key),
      /^portside\.key did not fit portside\.crt$/u,
    ],
    ['a key that others could read', (folder) => chmod(key(folder), 0o640), /^others could read portside\.key$/u],
  ];
  for (const [what, damage, why] of DAMAGE) {
    test(`replaces ${what}, and says why`, async () => {
      const folder = fresh();
      const first = await selfSigned({ folder });
      await damage(folder);
      const second = await selfSigned({ folder });
      assert.equal(second.created, true);
      assert.match(second.renewed ?? '', why);
      assert.notEqual(second.fingerprint256, first.fingerprint256);
      assert.notEqual(second.key, first.key);
      assert.equal((await stat(key(folder))).mode & 0o777, 0o600);
      assert.deepEqual(await selfSigned({ folder }), { ...second, created: false, renewed: null });
    });
  }

  test('replaces one that is not for all the hosts', async () => {
    const folder = fresh();
    await selfSigned({ folder, hosts: ['localhost', '*.dev.example'] });
    // A wildcard covers it, but who names a host wants it listed.
    for (const [host, named] of [
      ['a.dev.example', 'a.dev.example'],
      ['192.0.2.1', '192.0.2.1'],
      ['2001:DB8::1', '2001:db8::1'],
    ] as const) {
      const { created, renewed } = await selfSigned({ folder, hosts: [host] });
      assert.deepEqual({ created, renewed }, { created: true, renewed: `it was not for ${named}` });
    }
  });

  test('replaces one that has expired, is about to, or is not valid yet', async () => {
    const folder = fresh();
    const first = await selfSigned({ folder, days: 30 });
    assert.equal((await inDays(28.9, { folder, days: 30 })).created, false);
    const soon = await inDays(29.1, { folder, days: 30 });
    assert.equal(soon.renewed, 'it was about to expire');
    const late = await inDays(60, { folder, days: 30 });
    assert.equal(late.renewed, `it expired on ${soon.notAfter.toISOString().slice(0, 10)}`);
    const early = await selfSigned({ folder, days: 1 });
    assert.equal(early.renewed, 'it is not valid yet');
    assert.notEqual(first.fingerprint256, early.fingerprint256);
    // A tenth of a single day.
    assert.equal((await inDays(0.8, { folder, days: 1 })).created, false);
    assert.equal((await inDays(0.95, { folder, days: 1 })).renewed, 'it was about to expire');
  });

  test('leaves alone what somebody else put there', async (t) => {
    const folder = fresh();
    await mkdir(folder);
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/CN=mine',
    ];
    const openssl = start(t, 'openssl', [...request, '-keyout', key(folder), '-out', crt(folder)]);
    assert.equal((await openssl.exit).code, 0, openssl.err);
    const before = await readFile(crt(folder), 'utf8');
    // A key that is damaged does not make it ours.
    for (const spoil of [async () => {}, () => truncate(key(folder), 10)]) {
      await spoil();
      await assert.rejects(selfSigned({ folder }), {
        code: 'ERR_PORTSIDE_CERTIFICATE',
        message: /portside\.crt was not made by portside, so it is not touched; name another folder/u,
      });
    }
    assert.equal(await readFile(crt(folder), 'utf8'), before);
  });

  test('that can not be read or written to is ERR_PORTSIDE_CERTIFICATE, which says what to do', async () => {
    const file = fresh();
    await writeFile(file, '');
    await assert.rejects(selfSigned({ folder: file }), {
      code: 'ERR_PORTSIDE_CERTIFICATE',
      message: /portside\.crt can't be read \(ENOTDIR\); change its permissions, or name another folder/u,
    });
    const folder = fresh();
    await mkdir(folder);
    await symlink('portside.crt', crt(folder));
    await assert.rejects(selfSigned({ folder }), { code: 'ERR_PORTSIDE_CERTIFICATE', message: /ELOOP/u });
    const blocked = fresh();
    await mkdir(key(blocked), { recursive: true });
    await assert.rejects(selfSigned({ folder: blocked }), {
      code: 'ERR_PORTSIDE_CERTIFICATE',
      message: /can't be kept in .* \(EISDIR\); name a directory that can be written to/u,
    });
    assert.deepEqual(await readdir(blocked), ['portside.key'], 'nothing half-written is left');
  });
});

describe('wrong options', () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ hosts: [] }, /options\.hosts must be/u],
    [{ hosts: ['localhost', 'a b'] }, /options\.hosts\[1\] must be a host name or an IP address, got "a b"/u],
    [{ days: 0 }, /options\.days must be a whole number from 1 to 825/u],
    [{ days: 826 }, /options\.days/u],
    [{ folder: '' }, /options\.folder must be/u],
    [{ host: 'localhost' }, /options\.host is not an option; did you mean "hosts"/u],
  ];
  for (const [options, says] of wrong) {
    test(`${JSON.stringify(options)} is told`, async () => {
      await assert.rejects(selfSigned(options as SelfSignedOptions), { code: 'ERR_PORTSIDE_OPTIONS', message: says });
    });
  }

  test('what is no host has no name in a certificate', () => {
    const none = [
      '',
      ' ',
      'a b',
      'a..b',
      '-a',
      'a-',
      'a_b',
      '*',
      '*.',
      '*.local',
      'a.*.b',
      '127.1',
      '1.2.3.4.5',
      '300.1.1.1',
    ];
    none.push(
      'fe80::1%eth0',
      ':::',
      '[::1]',
      'a.example.',
      'a/b',
      'a:80',
      'x'.repeat(64),
      `${'a.'.repeat(127)}a`,
      'a\0b',
    );
    for (const host of none) assert.equal(certificateName(host), null, host);
    for (const host of ['a', 'A-b.example', 'xn--mnchen-3ya.de', '9a.example', '*.a.example', `${'a.'.repeat(126)}a`])
      assert.deepEqual(certificateName(host), { kind: 'dns', value: host.toLowerCase() });
    assert.deepEqual(certificateName('::FFFF:c000:201'), { kind: 'ip', value: '192.0.2.1' });
  });
});

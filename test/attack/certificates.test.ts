import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import type { TlsServerOptions } from '../../src/transport/tls/server-options.ts';
import { certificates, files } from '../support/certificates.ts';
import { besieged, eventually } from '../support/siege.ts';
import type { Siege } from '../support/siege.ts';
import { echoes } from './handlers.ts';
import { onEachKernel } from './raw.ts';

const { ca, server: pair, renewed, other, expired, future, encrypted } = certificates();
const client = { tls: { ca, servername: 'localhost' } };

/** What can't be used, and what is said of it. */
const broken: Readonly<Record<string, readonly [TlsServerOptions, RegExp]>> = {
  'a certificate that has expired': [expired, /has expired/u],
  'one that is not valid yet': [future, /not valid yet/u],
  'a key of another certificate': [{ cert: pair.cert, key: renewed.key }, /does not fit/u],
  'a certificate that is cut': [{ cert: pair.cert.slice(0, 300), key: pair.key }, /certificate/u],
  'a key that is cut': [{ cert: pair.cert, key: pair.key.slice(0, 80) }, /key/u],
  'a key in place of the certificate': [{ cert: pair.key, key: pair.key }, /private key/u],
  'a key without its passphrase': [encrypted, /encrypted/u],
  nothing: [{ cert: '\n', key: '\n' }, /cert/u],
  'a file that is not there': [{ cert: '/nowhere/at.pem', key: '/nowhere/key.pem' }, /does not exist/u],
  'a name that it is not for': [{ ...pair, servers: { 'b.example.org': other } }, /does not cover/u],
};

/** The serial number of the certificate that a new client is shown. */
async function shown(siege: Siege): Promise<string> {
  const connection = await siege.dial(client);
  const print = connection.tls?.peerCertificate?.fingerprint256 ?? 'none';
  await connection.close();
  return print;
}

onEachKernel('certificates', (net) => {
  test('that expire while the server runs, or are replaced by broken ones, leave it serving with those it has', async () => {
    const clock = new VirtualClock({ wall: Date.now() });
    const context = await TlsServerContext.create(pair, { clock });
    const told: string[] = [];
    await besieged(net, {
      handler: echoes.function,
      options: { tls: context },
      client,
      attack: async (siege) => {
        const before = await shown(siege);
        for (const [what, [options, why]] of Object.entries(broken)) {
          await assert.rejects(siege.server.reloadTls(options), (error: Error) => {
            assert.equal(systemCode(error), 'ERR_PORTSIDE_CERTIFICATE', what);
            assert.match(error.message, why, what);
            assert.ok(!error.message.includes(pair.key.split('\n')[1] ?? '?'), 'no key is told');
            return true;
          });
          assert.equal(await shown(siege), before, what);
          told.push(what);
        }
        // Seventy years later. Whoever connects has a clock of its own.
        clock.jumpWall(70 * 365 * 86_400_000);
        await assert.rejects(siege.server.reloadTls(), { code: 'ERR_PORTSIDE_CERTIFICATE', message: /has expired/u });
        assert.ok(
          (context.certificates[0]?.notAfter.getTime() ?? Infinity) < clock.wall(),
          'it can be seen that it has expired',
        );
        assert.equal(await shown(siege), before);
        clock.jumpWall(-70 * 365 * 86_400_000);
        await siege.server.reloadTls(renewed);
        assert.notEqual(await shown(siege), before);
      },
      counted: ({ errors, reasons }) => {
        assert.equal(told.length, Object.keys(broken).length);
        assert.equal(errors, 0, 'who asked for it is told, and nobody else');
        assert.deepEqual(Object.keys(reasons), ['ended']);
      },
    });
    context.close();
  });

  test('in files that are overwritten, cut, mixed up and removed are each told of, and the old ones serve until good ones come', async (t) => {
    const { server: paths } = files(t);
    const told: string[] = [];
    await besieged(net, {
      handler: echoes.protocol,
      options: {
        tls: { ...paths, watch: true },
        onError: (error) => void told.push(`${String(systemCode(error))} ${String(error)}`),
      },
      client,
      attack: async (siege) => {
        const before = await shown(siege);
        const spoil = async (why: RegExp, deed: () => void): Promise<void> => {
          const already = told.length;
          deed();
          await eventually(
            () => told.slice(already).some((text) => text.startsWith('ERR_PORTSIDE_CERTIFICATE') && why.test(text)),
            () => told,
          );
          assert.equal(await shown(siege), before);
        };
        await spoil(/does not fit/u, () => writeFileSync(paths.key, renewed.key));
        await spoil(/broken|no certificate/u, () => writeFileSync(paths.cert, pair.cert.slice(0, 200)));
        await spoil(/has expired/u, () => writeFileSync(paths.cert, expired.cert));
        await spoil(/does not exist/u, () => rmSync(paths.cert));
        writeFileSync(paths.cert, renewed.cert);
        let now = before;
        for (let tries = 0; now === before && tries < 500; tries += 1) now = await shown(siege);
        assert.notEqual(now, before, 'the good pair was taken up');
        assert.equal(readFileSync(paths.key, 'utf8'), renewed.key);
      },
      counted: ({ errors, reasons }) => {
        assert.equal(errors, told.length);
        assert.ok(errors >= 4);
        assert.deepEqual(Object.keys(reasons), ['ended']);
      },
    });
  });
});

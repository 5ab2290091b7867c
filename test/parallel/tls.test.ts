import assert from 'node:assert/strict';
import { renameSync, watch, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { isPortsideError } from '../../src/base/errors.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import { certificates, files } from '../support/certificates.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import {
  anyWay,
  ask,
  atEnd,
  dial,
  leavesNoThread,
  line,
  onEachWay,
  portOf,
  settled,
  startOn,
  worker,
} from './support.ts';

/** A client of Node's own, shaken hands with and having said a line, so that a ticket has come. */
async function shake(server: ParallelServer, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = tlsConnect({ host: '127.0.0.1', port: portOf(server), servername: 'localhost', ...options });
  atEnd(async () => socket.destroy());
  socket.on('error', () => {});
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

// The descriptor by which files are watched stays with the thread once there is one.
watch('.').close();

describe('TLS in workers', () => {
  leavesNoThread();

  onEachWay('over all of them', (way) => {
    test('handshakes are the workers’ own, and a client that stalls holds nobody up', async () => {
      const server = await startOn(way, worker('bare'), {
        ...(way.kernel ? {} : { dispatch: 'round-robin' }),
        tls: serverTls({ handshakeTimeout: 60_000 }),
      });
      // It never says a word.
      await dial(server);
      const seen = new Set<string>();
      for (let i = 0; i < 40 && seen.size < 2; i += 1) {
        const client = await dial(server, { tls: clientTls() });
        seen.add(await line(client));
        assert.equal(await ask(client, 'hello'), 'hello');
        await client.close();
      }
      assert.equal(seen.size, 2);
    });

    test('a session that one worker began is resumed by the other', async () => {
      const server = await startOn(way, worker('bare'), { tls: serverTls({ maxVersion: 'TLSv1.2' }) });
      const { ca } = certificates();
      const first = await shake(server, { ca, maxVersion: 'TLSv1.2' });
      const session = first.getSession();
      first.destroy();
      // Whichever worker it comes to.
      for (let i = 0; i < 6; i += 1) {
        const again = await shake(server, { ca, maxVersion: 'TLSv1.2', session });
        assert.equal(again.isSessionReused(), true);
        again.destroy();
      }
      await settled(server, 0);
    });
  });

  test('new certificates are taken up by all workers, those too that start later; bad ones by nobody', async (t) => {
    const { server: first, other } = certificates();
    const server = await startOn(anyWay, worker('commands'), { dispatch: 'round-robin', tls: serverTls() });
    const shown = async (): Promise<string> => {
      const socket = await shake(server, { rejectUnauthorized: false });
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    assert.equal(await shown(), before);
    const bad = { cert: first.cert, key: other.key };
    await assert.rejects(server.reloadTls(bad), { code: 'ERR_PORTSIDE_CERTIFICATE' });
    assert.deepEqual([await shown(), await shown()], [before, before]);
    await server.reloadTls({ cert: other.cert, key: other.key });
    const after = await shown();
    assert.notEqual(after, before);
    assert.equal(await shown(), after);
    await server.resize(3);
    assert.deepEqual([await shown(), await shown(), await shown()], [after, after, after]);
    await (
      await server.reload()
    ).done;
    assert.deepEqual([await shown(), await shown(), await shown()], [after, after, after]);
    t.diagnostic(`${before.slice(0, 8)} → ${after.slice(0, 8)}`);
  });

  test('files that are watched are watched once, by the parent, and read by all', async (t) => {
    const { server: mine, other } = certificates();
    const { folder } = files(t);
    const cert = `${folder}/watched.crt`;
    const key = `${folder}/watched.key`;
    writeFileSync(cert, mine.cert);
    writeFileSync(key, mine.key);
    const server = await startOn(anyWay, worker('commands'), {
      dispatch: 'round-robin',
      tls: { cert, key, watch: true },
    });
    const shown = async (): Promise<string> => {
      const socket = await shake(server, { rejectUnauthorized: false });
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    for (const [file, text] of [
      [cert, other.cert],
      [key, other.key],
    ] as const) {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    }
    let now = [before];
    while (now.includes(before)) now = [await shown(), await shown()];
    assert.equal(now[0], now[1]);
  });

  test('a context, which lives in one thread, is refused in words', async () => {
    const context = await TlsServerContext.create(serverTls());
    try {
      await assert.rejects(startOn(anyWay, worker('commands'), { tls: context }), (error) => {
        assert.ok(isPortsideError(error) && error.code === 'ERR_PORTSIDE_OPTIONS');
        assert.match(error.message, /a context, which lives in one thread/u);
        return true;
      });
    } finally {
      context.close();
    }
  });
});

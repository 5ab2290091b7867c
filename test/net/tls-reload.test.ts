import { copyFileSync, writeFileSync } from 'node:fs';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { certificates, files } from '../support/certificates.ts';
import { endAll, listenOn, portOf } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { until } from '../server/support.ts';

const node = { name: 'node', transport: nodeTransport };

describe('new certificates', () => {
  const shown = async (port: number): Promise<string> => {
    const client = await connect({ host: '127.0.0.1', port }, { tls: clientTls() });
    const print = client.tls?.peerCertificate?.fingerprint256;
    await endAll(client);
    assert.ok(print !== undefined);
    return print;
  };

  test('are taken by reloadTls for connections to come, and only when all of them are right', async () => {
    const { server: pair, renewed, other } = certificates();
    const listener = await listenOn(node, { tls: serverTls({ servers: { 'other.example.org': other } }) });
    const serving = (async () => {
      for await (const conn of listener) void conn.read().catch(() => {});
    })();
    const port = portOf(listener);
    const old = await connect({ host: '127.0.0.1', port }, { tls: clientTls() });
    const before = await shown(port);
    const wrong = { ...renewed, servers: { 'other.example.org': { cert: other.cert, key: pair.key } } };
    await assert.rejects(listener.reloadTls(wrong), { code: 'ERR_PORTSIDE_CERTIFICATE', message: /other\.example/u });
    await assert.rejects(listener.reloadTls({ ...renewed, servers: { 'else.example.org': other } }), {
      code: 'ERR_PORTSIDE_CERTIFICATE',
    });
    assert.equal(await shown(port), before);
    await listener.reloadTls({ ...renewed, servers: { 'other.example.org': other } });
    assert.notEqual(await shown(port), before);
    void old.write('still open');
    await old.flushed();
    assert.equal(old.closeReason, null);
    await endAll(old);
    await listener.close();
    await serving;
  });

  test('a listener without TLS has none to reload', async () => {
    const listener = await listenOn(node);
    await assert.rejects(listener.reloadTls(), { code: 'ERR_PORTSIDE_STATE' });
    await listener.close();
  });

  test('in watched files are taken up by themselves, and what is wrong is told while the old ones go on', async (t) => {
    const { server, renewed, other } = files(t);
    const listener = await listen({ port: 0, host: '127.0.0.1', tls: { ...server, watch: true } });
    const told: unknown[] = [];
    const note = (message: unknown): void => {
      const { listener: from, error } = message as { listener: unknown; error: unknown };
      if (from === listener) told.push(error);
    };
    subscribe('portside.tls.reload', note);
    t.after(() => unsubscribe('portside.tls.reload', note));
    const serving = (async () => {
      for await (const conn of listener) void conn.read().catch(() => {});
    })();
    const before = await shown(portOf(listener));
    copyFileSync(other.cert, server.cert);
    await until(() => told.length === 1);
    assert.match(String(told[0]), /server\.cert\.pem/u);
    assert.equal(await shown(portOf(listener)), before);
    copyFileSync(renewed.cert, server.cert);
    copyFileSync(renewed.key, server.key);
    await until(() => told.at(-1) === null);
    assert.notEqual(await shown(portOf(listener)), before);
    await listener.close();
    // Nothing watches any more.
    const count = told.length;
    writeFileSync(server.cert, 'no certificate');
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(told.length, count);
    await serving;
  });
});

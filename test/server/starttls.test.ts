import { test } from 'node:test';
import assert from 'node:assert/strict';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import type { Server } from '../../src/server/server.ts';
import { certificates } from '../support/certificates.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, published, serveOn, until } from './support.ts';

/** Answers each line with where it came, and STARTTLS with TLS. One for each shape of handler. */
const shapes: Readonly<Record<string, () => Handler<never>>> = {
  'a function': () => async (conn) => {
    for (;;) {
      const line = await conn.readLine();
      if (line === null) return;
      if (line === 'STARTTLS') {
        void conn.write('go ahead\n');
        await conn.upgradeTls();
      } else await conn.write(`${conn.tls === null ? 'clear' : 'secure'} ${line}\n`);
    }
  },
  'a protocol': () => ({
    async data(conn: Connection, bytes: Uint8Array) {
      const text = Buffer.from(bytes).toString();
      const end = text.indexOf('\n') + 1;
      if (!text.startsWith('STARTTLS\n')) {
        void conn.write(`${conn.tls === null ? 'clear' : 'secure'} ${text}`);
        return;
      }
      void conn.write('go ahead\n');
      // What is behind the command must not be taken for what comes under TLS.
      conn.unread(bytes.subarray(end));
      await conn.upgradeTls();
    },
  }),
  'a protocol on a codec': () =>
    defineHandler(lines(), {
      // oxlint-disable-next-line typescript/no-misused-promises -- what it rejects with is the handler's error
      async frame(conn, line) {
        if (line === 'STARTTLS') {
          void conn.write('go ahead\n');
          await conn.upgradeTls();
        } else void conn.write(`${conn.tls === null ? 'clear' : 'secure'} ${line}\n`);
      },
    }),
};

function serveClear(net: Net, handler: Handler<never>, options: ServerOptions = {}): Promise<Server> {
  return serveOn(net, handler, { listen: 'tcp://127.0.0.1:0', tls: serverTls(), ...options });
}

for (const [shape, make] of Object.entries(shapes)) {
  onEachNet(`STARTTLS in ${shape}`, (net) => {
    test('bytes under TLS go where those before went', async () => {
      const noLeaks = watchLeaks();
      const server = await serveClear(net, make());
      const errors = published(() => server);
      const client = await dial(net, server);
      void client.write('one\n');
      assert.equal(await client.readLine(), 'clear one');
      void client.write('STARTTLS\n');
      assert.equal(await client.readLine(), 'go ahead');
      await client.upgradeTls({ tls: clientTls() });
      void client.write('two\n');
      assert.equal(await client.readLine(), 'secure two');
      await client.close();
      await until(() => server.status().active === 0);
      assert.deepEqual([errors.errors, server.status().reasons], [[], { ended: 1 }]);
      errors.stop();
      await server.stop();
      await noLeaks();
    });

    test('commands that came with STARTTLS end the connection: its own end, and no error of the handler', async () => {
      const server = await serveClear(net, make());
      const errors = published(() => server);
      const ends: (string | undefined)[] = [];
      server.on('close', (_conn, reason) => ends.push(reason.kind === 'handshake' ? reason.error.code : reason.kind));
      const client = await dial(net, server);
      void client.write('STARTTLS\nevil\n');
      await until(() => ends.length === 1);
      assert.deepEqual([ends, errors.errors, server.status().errors], [['ERR_PORTSIDE_TOO_EARLY'], [], 0]);
      let heard = '';
      await (async () => {
        for await (const bytes of client) heard += Buffer.from(bytes).toString();
      })().catch(() => {});
      assert.doesNotMatch(heard, /evil/u);
      errors.stop();
      await endAll(client);
      await server.stop();
    });

    test('a client that does not go on as it said is a reason, and no error of the handler', async () => {
      const loose = unhandled();
      const server = await serveClear(net, make());
      const errors = published(() => server);
      const ends: string[] = [];
      server.on('close', (_conn, reason) => ends.push(reason.kind));
      for (const next of ['not TLS at all, and long enough to be sure', null]) {
        const client = await dial(net, server);
        void client.write('STARTTLS\n');
        assert.equal(await client.readLine(), 'go ahead');
        if (next === null) client.abort();
        else void client.write(next);
        const count = ends.length;
        await until(() => ends.length > count);
        await endAll(client);
      }
      assert.equal(ends[0], 'handshake');
      assert.ok(['reset', 'handshake'].includes(ends[1] ?? ''));
      assert.deepEqual([errors.errors, await loose()], [[], []]);
      errors.stop();
      await server.stop();
    });

    test('without certificates the handler has the error, and its connection ends', async () => {
      const server = await serveOn(net, make());
      const errors = published(() => server);
      const client = await dial(net, server);
      void client.write('STARTTLS\n');
      await until(() => errors.errors.length > 0);
      assert.equal((errors.errors[0] as { code: string }).code, 'ERR_PORTSIDE_CERTIFICATE');
      errors.stop();
      await endAll(client);
      await server.stop();
    });

    test('a server that stops waits for a handshake as long as its grace', async () => {
      const noLeaks = watchLeaks();
      const server = await serveClear(net, make());
      const client = await dial(net, server);
      void client.write('STARTTLS\n');
      assert.equal(await client.readLine(), 'go ahead');
      const stopped = server.stop({ grace: 10_000 });
      await client.upgradeTls({ tls: clientTls() });
      // It is idle from then on.
      assert.equal(await client.read(), null);
      await client.close();
      const ledger = await stopped;
      assert.deepEqual([ledger.connections, ledger.idle], [1, 1]);

      const hasty = await serveClear(net, make());
      const other = await dial(net, hasty);
      void other.write('STARTTLS\n');
      assert.equal(await other.readLine(), 'go ahead');
      assert.equal((await hasty.stop({ grace: 0 })).forced, 1);
      await endAll(other);
      await noLeaks();
    });
  });
}

onEachNet('a handler', (net) => {
  test('knows whether TLS can be had, be the certificates those of the server or of its endpoint alone', async () => {
    const handler = async (conn: Connection): Promise<void> => {
      await conn.write(`${conn.canUpgradeTls}\n`);
    };
    const place = { endpoint: 'tcp://127.0.0.1:0' };
    for (const [options, can] of [
      [{ listen: place }, 'false'],
      [{ listen: place, tls: serverTls() }, 'true'],
      [{ listen: { ...place, tls: certificates().server } }, 'true'],
    ] as const) {
      const server = await serveOn(net, handler, options);
      const client = await dial(net, server);
      assert.equal(await client.readLine(), can);
      await client.close();
      await server.stop();
    }
    const server = await serveOn(net, handler, { tls: serverTls() });
    const client = await dial(net, server, { tls: clientTls() });
    assert.equal(await client.readLine(), 'false');
    await client.close();
    await server.stop();
  });
});

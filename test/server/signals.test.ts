import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { onSignals } from '../../src/server/signals.ts';
import { startNode, startServing } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { Guest } from './guests.ts';
import { until } from './support.ts';

describe('signals', { skip: process.platform === 'win32' }, () => {
  test('the first begins the end, another one hastens it, and the same one does after half a second', async () => {
    const log: string[] = [];
    const before = [process.listenerCount('SIGQUIT'), process.listenerCount('SIGHUP')];
    const off = onSignals(
      ['SIGQUIT', 'SIGHUP'],
      (signal) => log.push(`first ${signal}`),
      (signal) => log.push(`again ${signal}`),
    );
    const send = async (signal: NodeJS.Signals): Promise<void> => {
      let seen = false;
      process.once(signal, () => (seen = true));
      process.kill(process.pid, signal);
      await until(() => seen);
    };
    const began = performance.now();
    await send('SIGQUIT');
    await send('SIGQUIT');
    assert.deepEqual(log, ['first SIGQUIT']);
    await send('SIGHUP');
    await send('SIGHUP');
    assert.deepEqual(log, ['first SIGQUIT', 'again SIGHUP', 'again SIGHUP']);
    await until(() => performance.now() - began > 600);
    await send('SIGQUIT');
    assert.equal(log.at(-1), 'again SIGQUIT');
    off();
    assert.deepEqual([process.listenerCount('SIGQUIT'), process.listenerCount('SIGHUP')], before);
  });

  test('that come before the start is over end the server when it is', async (t) => {
    const child = startNode(t, [
      '--input-type=module-typescript',
      '-e',
      `
      import { createServer } from 'portside';
      const options = { port: 0, host: '127.0.0.1', onStart: () => new Promise((done) => {
        process.stdin.once('data', done);
        console.log('waiting');
      }) };
      const server = createServer(async (conn) => void (await conn.read()), options);
      server.on('state', (state) => console.log(state));
      await server.run({ onSignal: (signal) => console.log(signal) });
      console.log('ran');
      `,
    ]);
    await child.until(/waiting/u);
    child.signal('SIGTERM');
    await child.until(/SIGTERM/u);
    assert.doesNotMatch(child.out, /running/u);
    child.end('go on');
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.match(child.out, /running\ndraining\nstopped\nran/u);
  });

  test('a third one ends those that prepareHardClose closed in order and that do not leave', async (t) => {
    const child = startNode(t, [
      '--input-type=module-typescript',
      '-e',
      `
      import { connect, createServer } from 'portside';
      const server = createServer((conn) => new Promise(() => {}), {
        port: 0, host: '127.0.0.1', grace: 600_000, linger: 600_000,
        prepareHardClose: (conn) => { console.log('asked'); void conn.close(); },
      });
      server.on('connection', () => console.log('connected'));
      const done = server.run({ onSignal: (signal) => console.log(signal) });
      while (server.state !== 'running') await new Promise(setImmediate);
      // It reads nothing, and so does not leave.
      const client = await connect('127.0.0.1:' + server.addresses[0].port);
      const { forced } = await done;
      console.log('ran', forced);
      client.abort();
      `,
    ]);
    await child.until(/connected/u);
    child.signal('SIGTERM');
    await child.until(/SIGTERM/u);
    child.signal('SIGINT');
    await child.until(/asked/u);
    child.signal('SIGINT');
    await child.until(/ran 1/u);
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.equal(child.out.match(/asked/gu)?.length, 1);
  });
});

describe('signals to `portside serve`', { skip: process.platform === 'win32' }, () => {
  /** The command with a module of this text, and guests of its server. */
  async function serving(t: TestContext, text: string, guests: number): Promise<{ server: Program; guests: Guest[] }> {
    const folder = mkdtempSync(join(tmpdir(), 'portside-signals-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'handler.mjs');
    writeFileSync(file, text);
    const { server, port } = await startServing(t, file);
    const clients = await Promise.all(Array.from({ length: guests }, () => connect({ host: '127.0.0.1', port })));
    const all = clients.map((client) => new Guest(client));
    await until(() => all.every((guest) => guest.text.startsWith('hello\n')));
    return { server, guests: all };
  }

  const goodbye = `
    export default {
      open(conn) { conn.write('hello\\n'); },
      draining(conn) { conn.write('goodbye\\n'); },
    };`;
  const polite = `
    export default async (conn) => {
      conn.busy = true;
      conn.draining.addEventListener('abort', () => void conn.write('one moment\\n'));
      await conn.write('hello\\n');
      while ((await conn.read()) !== null);
    };`;

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} tells everybody, closes who is idle, and the command ends well by itself`, async (t) => {
      const { server, guests } = await serving(t, goodbye, 3);
      server.signal(signal);
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      await Promise.all(guests.map(({ gone }) => gone));
      for (const { text, end } of guests) assert.deepEqual([text, end], ['hello\ngoodbye\n', 'eof']);
      assert.match(server.err, new RegExp(`^portside: ${signal}, waiting for 3 connections`, 'mu'));
    });

    test(`after ${signal} a second signal ends those who are at work`, async (t) => {
      const { server, guests } = await serving(t, polite, 2);
      server.signal(signal);
      await until(() => guests.every(({ text }) => text.endsWith('one moment\n')));
      assert.deepEqual(
        guests.map(({ end }) => end),
        [null, null],
      );
      server.signal(signal === 'SIGINT' ? 'SIGTERM' : 'SIGINT');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      await Promise.all(guests.map(({ gone }) => gone));
      assert.deepEqual(
        guests.map(({ end }) => end),
        ['ECONNRESET', 'ECONNRESET'],
      );
    });
  }

  test('who leaves in time is waited for', async (t) => {
    const { server, guests } = await serving(t, polite, 1);
    server.signal('SIGTERM');
    await until(() => guests[0]?.text.endsWith('one moment\n') === true);
    void guests[0]?.client.closeWrite();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(guests[0]?.end ?? 'eof', 'eof');
  });
});

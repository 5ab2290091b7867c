import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import { onEachNet } from '../support/nets.ts';
import { watchLeaks } from '../support/leaks.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, serveOn, until } from './support.ts';

const MOMENTS = 50;

/** Lets `steps` small moments pass: microtasks first, then turns of the loop. */
async function moment(steps: number): Promise<void> {
  for (let step = 0; step < steps; step += 1) await (step % 5 === 4 ? new Promise(setImmediate) : null);
}

const question = Buffer.alloc(200_000, 'x');

/** Handlers that read, write, wait and end in all ways. */
const handlers: Readonly<Record<string, Handler>> = {
  'a function that echoes': async (conn) => {
    for await (const bytes of conn) await conn.write(bytes);
  },
  'a function that writes without waiting': async (conn) => {
    for (let i = 0; i < 20; i += 1) void conn.write(question);
    await conn.read();
    for (let i = 0; i < 20; i += 1) void conn.write(question);
    await conn.closeWrite();
    await conn.read();
  },
  'a function that closes while it reads': async (conn) => {
    void conn.read().catch(() => null);
    await conn.write(question);
    void conn.close();
  },
  'a protocol that echoes': {
    data(conn, bytes) {
      void conn.write(bytes);
    },
  },
  'a protocol that ends in many ways': {
    open: (conn) => void conn.write(question),
    data(conn, bytes) {
      void conn.write(bytes);
      if (bytes.length % 3 === 0) void conn.close();
      else void conn.closeWrite();
    },
    end: (conn) => void conn.write('too late').catch(() => conn.abort()),
    drain: (conn) => void conn.write('more'),
    close: (conn) => void conn.write('much too late'),
  },
};

onEachNet('peers that reset at every moment', (net) => {
  for (const [name, handler] of Object.entries(handlers)) {
    test(`do no harm to ${name}`, async () => {
      const noLeaks = watchLeaks();
      const rejections = unhandled();
      const errors: unknown[] = [];
      const server = await serveOn(net, handler, { onError: (error) => void errors.push(error), linger: 1_000 });
      for (let steps = 0; steps < MOMENTS; steps += 1) {
        // Some are reset while they are being made.
        const client: Connection | null = await dial(net, server).catch(() => null);
        if (client === null) continue;
        if (steps % 2 === 1) void client.write(question.subarray(0, steps * 1_000 + (steps % 7)));
        if (steps % 4 === 3) void client.closeWrite();
        if (steps % 3 === 2) void client.read().catch(() => null);
        await moment(steps);
        client.abort();
      }
      await until(() => server.status().accepted >= MOMENTS - 5);
      // The server is as good as ever.
      const last = await dial(net, server);
      void last.write('still there?');
      assert.ok((await last.read()) !== null);
      last.abort();
      await server.stop({ grace: 2_000 });
      assert.deepEqual(errors, []);
      assert.equal(server.status().errors, 0);
      assert.equal(server.status().active, 0);
      assert.deepEqual(await rejections(), []);
      await noLeaks();
    });
  }
});

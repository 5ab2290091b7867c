import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import { nets } from '../support/nets.ts';
import { besieged, eventually } from '../support/siege.ts';
import { besiegedInTime } from '../support/siege-in-time.ts';
import type { TimeSiege } from '../support/siege-in-time.ts';
import { echoes } from './handlers.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** Reads to the end, whatever it is, and lets everything go. */
function drained(client: Connection): Promise<void> {
  return (async () => {
    while ((await client.read()) !== null);
    await client.close();
  })().catch(() => {});
}

/** Many who each send a byte every second, as long as they can, and read what comes. */
async function dripping({ dial, pass }: TimeSiege, count: number, seconds: number): Promise<void> {
  const clients: Connection[] = [];
  for (let i = 0; i < count; i += 1) clients.push(await dial());
  const over = clients.map(drained);
  for (let second = 0; second < seconds; second += 1) {
    for (const client of clients) client.write('x').catch(() => {});
    await pass(SECOND);
  }
  await Promise.all(over);
}

const shapes = Object.entries(echoes);

describe('a byte a second', () => {
  for (const [shape, handler] of shapes) {
    test(`is ended by the life that a connection may have (${shape})`, async () => {
      await besiegedInTime({
        handler,
        options: { deadlines: { life: 2 * MINUTE, firstByte: 5 * SECOND, read: 10 * SECOND, idle: 10 * SECOND } },
        // The honest ones have no longer life.
        stays: false,
        attack: (siege) => dripping(siege, 50, 121),
        counted: ({ reasons }) => assert.equal(reasons['timeout-life'], 50),
      });
    });

    test(`is no way around the other deadlines for who pauses longer (${shape})`, async () => {
      await besiegedInTime({
        handler,
        options: { deadlines: { read: 10 * SECOND } },
        attack: async ({ dial, pass }) => {
          const clients = await Promise.all([dial(), dial(), dial()]);
          const over = clients.map(drained);
          for (let i = 0; i < 6; i += 1) {
            for (const client of clients) client.write('x').catch(() => {});
            await pass(9 * SECOND);
          }
          await pass(2 * SECOND);
          await Promise.all(over);
        },
        counted: ({ reasons }) => assert.equal(reasons['timeout-read'], 3),
      });
    });
  }

  test('is ended by the time that a handler gives to a whole line, however it comes', async () => {
    const handler: Handler = async (conn) => {
      for (;;) {
        const line = await conn.readLine({ timeout: 30 * SECOND }).catch((error: unknown) => {
          if (systemCode(error) !== 'ERR_PORTSIDE_TIMEOUT') throw error;
          return null;
        });
        if (line === null) return;
        await conn.write(`${line}\n`);
      }
    };
    await besiegedInTime({
      handler,
      attack: (siege) => dripping(siege, 50, 31),
      counted: ({ reasons, errors }) => {
        assert.equal(reasons['closed'], 50);
        assert.equal(errors, 0);
      },
    });
  });
});

describe('clients that say nothing', () => {
  for (const [shape, handler] of shapes) {
    test(`end when their first byte is late, and when they are idle (${shape})`, async () => {
      await besiegedInTime({
        handler,
        options: { deadlines: { firstByte: 5 * SECOND, idle: MINUTE } },
        attack: async ({ dial, pass, server }) => {
          const silent = await Promise.all(Array.from({ length: 100 }, () => dial()));
          const once = await Promise.all(Array.from({ length: 100 }, () => dial()));
          for (const client of once) void client.write('hello\n');
          const over = [...silent, ...once].map(drained);
          await pass(4 * SECOND);
          assert.equal(server.status().active, 201);
          await pass(2 * SECOND);
          assert.equal(server.status().active, 101);
          await pass(MINUTE);
          await Promise.all(over);
        },
        counted: ({ reasons }) => {
          assert.equal(reasons['timeout-firstByte'], 100);
          assert.equal(reasons['timeout-idle'], 100);
        },
      });
    });
  }

  test('stay for ever where nothing is set: that is what deadlines are for', async () => {
    await besiegedInTime({
      handler: echoes.function,
      attack: async ({ dial, pass, server, clock }) => {
        const silent = await dial();
        await pass(24 * 60 * MINUTE, 60 * MINUTE);
        assert.equal(server.status().active, 2);
        await clock.run(silent.close());
      },
      counted: ({ reasons }) => assert.equal(reasons['ended'], 1),
    });
  });
});

describe('peers that vanish', () => {
  for (const [shape, handler] of shapes) {
    test(`are ended by the deadlines, and hold neither memory nor timers (${shape})`, async () => {
      await besiegedInTime({
        handler,
        // Who is at the other side of the break can't be asked.
        stays: false,
        options: { deadlines: { idle: MINUTE }, linger: 5 * SECOND },
        attack: async ({ dial, network, clock, server }) => {
          const clients = await Promise.all(Array.from({ length: 100 }, () => dial()));
          for (const client of clients) void client.write('hello\n');
          await clock.advance(SECOND);
          network.partition(true);
          assert.equal(server.status().active, 100);
          // The deadline, and the time that an end in order may take.
          await clock.advance(MINUTE + 12 * 5 * SECOND);
          assert.equal(server.status().active, 0);
          network.partition(false);
          for (const client of clients) client.abort();
          await clock.settle();
        },
        counted: ({ reasons }) => assert.equal(reasons['timeout-idle'], 100),
      });
    });
  }

  test('are found out by the network where something is sent to them', async () => {
    await besiegedInTime({
      handler: echoes.protocol,
      stays: false,
      attack: async ({ dial, network, clock, server }) => {
        const serving: Connection[] = [];
        server.on('connection', (connection) => serving.push(connection));
        const clients = await Promise.all(Array.from({ length: 20 }, () => dial()));
        await clock.settle();
        network.partition(true);
        for (const connection of serving.splice(0)) void connection.write('news\n');
        // As long as the kernel waits for acknowledgements here.
        await clock.advance(31 * SECOND);
        assert.equal(server.status().active, 0);
        network.partition(false);
        for (const client of clients) client.abort();
        await clock.settle();
      },
      counted: ({ reasons }) => assert.equal(reasons['failed'], 20),
    });
  });
});

describe('a clock that jumps', () => {
  for (const [where, ms] of [
    ['a year ahead', 365 * 24 * 60 * MINUTE],
    ['a year back', -365 * 24 * 60 * MINUTE],
  ] as const) {
    test(`${where} neither hastens nor delays a deadline, a rate, a grace or an age`, async () => {
      await besiegedInTime({
        handler: echoes.function,
        options: {
          deadlines: { firstByte: 10 * SECOND },
          rate: { connections: 5, per: MINUTE },
          maxConnections: 100,
        },
        attack: async ({ dial, clock, server, pass }) => {
          const from = { localHost: '127.3.3.3' };
          const clients = await Promise.all(Array.from({ length: 5 }, () => dial(from)));
          const over = clients.map(drained);
          clock.jumpWall(ms);
          await pass(9 * SECOND);
          assert.equal(server.status().active, 6);
          assert.ok(server.status().uptime < MINUTE);
          await clock.run(drained(await dial(from)));
          assert.equal(server.status().refused.rate, 1, 'the rate goes by time that passed');
          await pass(SECOND);
          assert.equal(server.status().active, 1);
          await clock.run(Promise.all(over));
        },
        counted: ({ reasons }) => assert.equal(reasons['timeout-firstByte'], 5),
      });
    });
  }

  for (const ms of [-3_600_000, 3_600_000]) {
    test(`that is the machine's own, by ${ms} ms, moves no deadline and no grace`, async (t) => {
      const [net] = nets();
      let silent: Connection | null = null;
      await besieged(net!, {
        handler: echoes.function,
        options: { deadlines: { firstByte: 1_000 }, linger: 100 },
        attack: async (siege) => {
          silent = await siege.dial();
          const began = performance.now();
          const { now } = Date;
          t.mock.method(Date, 'now', () => now() + ms);
          await eventually(
            () => siege.server.status().reasons['timeout-firstByte'] === 1,
            () => siege.server.status(),
          );
          const took = performance.now() - began;
          assert.ok(took > 250 && took < 5_000, `${took}`);
          silent.abort();
        },
        counted: ({ uptime }) => assert.ok(uptime > 0 && uptime < 60_000),
      });
    });
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Refusal } from '../../src/server/refusal.ts';
import { besieged, eventually } from '../support/siege.ts';
import { echoes } from './handlers.ts';
import { Raw, manyOn, oneAddress, onEachKernel, stranger } from './raw.ts';
import type { Fate } from './raw.ts';

const FLOOD = 3_000;
const ROOM = 100;
const WAVE = 500;
/** Room for whole waves: whom the queue has no room for asks again a second later. */
const BACKLOG = 4_096;

/** Comes with everybody at once; all are told to read, so that they see their end. */
function flood(port: number, count: number, from?: (i: number) => string): Raw[] {
  return Array.from({ length: count }, (_, i) => new Raw(port, from?.(i)).drain());
}

/** The same wave by wave, each when the one before is over; how many met which fate. Beyond a wave the kernel would let them ask again in a second. */
async function waves(port: number, count: number, from?: (i: number) => string): Promise<Record<Fate, number>> {
  const counts = { refused: 0, reset: 0, ended: 0 };
  for (let wave = 0; wave < count; wave += WAVE) {
    const raws = flood(port, WAVE, from && ((i) => from(wave + i)));
    for (const fate of await Promise.all(raws.map((raw) => raw.fate))) counts[fate] += 1;
  }
  return counts;
}

onEachKernel('floods of connections', (net) => {
  test(`${FLOOD} connects to a server for ${ROOM} that lets them wait: it serves whom it has, and never more`, async () => {
    let most = 0;
    await besieged(net, {
      handler: echoes.function,
      // Where the queue overflows, the kernel leaves some half open: their clients are gone, and nothing tells it.
      options: { maxConnections: ROOM, deadlines: { firstByte: 1_500 }, linger: 200 },
      newcomers: false,
      attack: async ({ server, port }) => {
        server.on('connection', () => (most = Math.max(most, server.status().active)));
        const raws = flood(port, FLOOD);
        await eventually(
          () => server.status().active === ROOM,
          () => server.status(),
        );
        // Those that are connected say goodbye, in or not, and the next come in from the queue.
        await eventually(
          () => {
            for (const { socket } of raws) if (!socket.connecting) socket.end();
            return server.status().accepted >= 3 * ROOM;
          },
          () => server.status(),
        );
        for (const raw of raws) raw.reset();
      },
      counted: ({ refused, maxConnections }) => {
        assert.equal(most, ROOM);
        assert.equal(maxConnections, ROOM);
        assert.equal(refused.full, 0, 'nobody is refused where everybody waits');
      },
    });
  });

  test(`${FLOOD} connects to a server for ${ROOM} that refuses: each one too many is reset at once, and counted`, async () => {
    let asked = 0;
    let held: Raw[] = [];
    await besieged(net, {
      handler: echoes.protocol,
      options: {
        maxConnections: ROOM,
        whenFull: 'refuse',
        backlog: BACKLOG,
        refuseWith: (refusal: Refusal) => {
          asked += 1;
          return refusal.kind === 'full' ? 'reset' : 'close';
        },
      },
      newcomers: false,
      attack: async (siege) => {
        held = await manyOn(siege, ROOM - 1);
        await eventually(
          () => siege.server.status().active === ROOM,
          () => siege.server.status(),
        );
        const fates = await waves(siege.port, FLOOD);
        assert.equal(fates.reset + fates.refused, FLOOD);
        for (const one of held) one.reset();
      },
      counted: ({ refused, accepted }) => {
        assert.ok(accepted <= ROOM + 10);
        assert.equal(refused.full, FLOOD);
        assert.equal(asked, refused.full);
      },
    });
  });

  test(`${FLOOD} connects to a server for ${ROOM} that lets them wait a while: they are refused when their time is over, and told so`, async () => {
    await besieged(net, {
      handler: echoes['framed protocol'],
      options: {
        maxConnections: ROOM,
        whenFull: { first: 20, every: 10, retries: 2 },
        refuseWith: { send: 'full\n' },
      },
      newcomers: false,
      attack: async (siege) => {
        const held = await manyOn(siege, ROOM - 1);
        const raws = flood(siege.port, FLOOD);
        await eventually(
          () => siege.server.status().refused.full >= 10,
          () => siege.server.status(),
        );
        for (const one of [...held, ...raws]) one.reset();
      },
      counted: ({ refused }) => assert.ok(refused.full >= 10),
    });
  });

  test(
    'one client that connects over and over gets no more than it may have, and others get in',
    { skip: oneAddress },
    async () => {
      await besieged(net, {
        handler: echoes.function,
        options: { maxPerClient: 8, backlog: BACKLOG },
        attack: async ({ server, port }) => {
          const held = flood(port, 8, () => stranger(7));
          await eventually(
            () => server.status().active >= 9,
            () => server.status(),
          );
          const fates = await waves(port, 1_500, () => stranger(7));
          assert.equal(fates.ended, 0);
          for (const one of held) one.reset();
        },
        counted: ({ refused }) => assert.equal(refused['client-full'], 1_500),
      });
    },
  );

  test('one client that connects faster than it may is refused, and others get in', { skip: oneAddress }, async () => {
    await besieged(net, {
      handler: echoes.protocol,
      // Honest ones come in dozens; what flows back within a test is next to nothing.
      options: { rate: { connections: 2_000, per: 3_600_000 }, backlog: BACKLOG },
      attack: async ({ port }) => {
        for (let wave = 0; wave < 6; wave += 1) {
          const raws = flood(port, 500, () => stranger(8));
          for (const one of raws) one.socket.end();
          await Promise.all(raws.map((raw) => raw.fate));
        }
      },
      counted: ({ refused }) => assert.ok(refused.rate >= 995 && refused.rate <= 1_000, `${refused.rate}`),
    });
  });

  test(
    'many clients of many addresses fill the server up, and no one of them can be told from an honest one',
    { skip: oneAddress },
    async () => {
      await besieged(net, {
        handler: echoes.function,
        options: { maxConnections: 500, maxPerClient: 4, deadlines: { firstByte: 1_000 }, backlog: BACKLOG },
        // Newcomers wait until the silent ones are late: with 250 ms for the first byte that is not long.
        attack: async ({ port }) => {
          const fates = await waves(port, 1_000, stranger);
          assert.equal(fates.refused, 0);
        },
        counted: ({ reasons }) => {
          const silent = (reasons['timeout-firstByte'] ?? 0) + (reasons['ended'] ?? 0);
          assert.ok(silent >= 1_000, JSON.stringify(reasons));
        },
      });
    },
  );

  test('a flood from addresses that are denied costs no place', { skip: oneAddress }, async () => {
    await besieged(net, {
      handler: echoes.protocol,
      options: { deny: ['127.66.0.0/16'], maxConnections: 10, refuseWith: { send: 'go away\n' }, backlog: BACKLOG },
      attack: async ({ port }) => {
        await waves(port, 2_000, stranger);
      },
      counted: ({ refused }) => assert.equal(refused.denied, 2_000),
    });
  });
});

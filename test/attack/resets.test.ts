import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Handler } from '../../src/server/handler.ts';
import { serve } from '../../src/server/server.ts';
import { besieged, eventually } from '../support/siege.ts';
import { unhandled } from '../support/unhandled.ts';
import { echoes } from './handlers.ts';
import { Raw, onEachKernel, turns } from './raw.ts';

const ROUNDS = 12;
const AT_ONCE = 10;

const half = 'half a li';
const question = `${'x'.repeat(30_000)}\n`;

/** What an attacker does before it resets; some see nothing of the connection at all. */
const steps: Readonly<Record<string, (raw: Raw) => Promise<unknown>>> = {
  'before it knows that it is connected': () => Promise.resolve(),
  'as soon as it is connected': (raw) => raw.opened,
  'in the middle of a line': async (raw) => {
    await raw.opened;
    raw.socket.write(half);
    await turns(2);
  },
  'behind a line, before the answer': async (raw) => {
    await raw.opened;
    raw.socket.write(question);
  },
  'in the middle of an answer': async (raw) => {
    await raw.opened;
    raw.socket.write(question.repeat(20));
    if ((await raw.opened) && !raw.socket.destroyed) await Promise.race([once(raw.socket, 'data'), raw.fate]);
  },
  'after its end, before the answers': async (raw) => {
    await raw.opened;
    raw.socket.end(question.repeat(4));
    await turns(1);
  },
  'after the whole talk': async (raw) => {
    await raw.opened;
    raw.socket.end('hello\n');
    await raw.drain().fate;
  },
};

/** Goes through all of it many times, with some turns of the loop more each time. */
async function attackBy(port: number, step: (raw: Raw) => Promise<unknown>): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const raws = Array.from({ length: AT_ONCE }, () => new Raw(port));
    await Promise.all(raws.map(step));
    await turns(round % 5);
    for (const raw of raws) raw.reset();
    await Promise.all(raws.map((raw) => raw.fate));
  }
}

onEachKernel('resets', (net) => {
  for (const [shape, handler] of Object.entries(echoes)) {
    test(`at each step do no harm to a ${shape}`, async () => {
      await besieged(net, {
        handler,
        options: { linger: 1_000 },
        attack: async ({ port }) => {
          for (const step of Object.values(steps)) await attackBy(port, step);
        },
        counted: ({ reasons, errors, accepted }) => {
          assert.equal(errors, 0, 'what a peer does is no error of the handler');
          assert.deepEqual(
            Object.keys(reasons).filter((reason) => !['ended', 'reset', 'closed'].includes(reason)),
            [],
            JSON.stringify(reasons),
          );
          assert.ok((reasons['reset'] ?? 0) > ROUNDS * AT_ONCE, JSON.stringify(reasons));
          // Those that are gone before they are accepted may never be seen.
          assert.ok(accepted > ROUNDS * AT_ONCE * 2, `${accepted}`);
        },
      });
    });
  }

  test('at the moment in which the server closes are no error either', async () => {
    const closing: Handler = async (conn) => {
      const line = await conn.readLine();
      if (line === null) return;
      await conn.write(`${line}\n`);
      if (line.startsWith('is anybody there?'))
        for (let next = await conn.readLine(); next !== null; next = await conn.readLine())
          await conn.write(`${next}\n`);
      // Returns: the connection is being closed, and waits for its peer's end.
    };
    await besieged(net, {
      handler: closing,
      attack: async ({ port }) => {
        for (let round = 0; round < ROUNDS; round += 1) {
          const raws = Array.from({ length: AT_ONCE }, () => new Raw(port));
          await Promise.all(raws.map((raw) => raw.opened));
          for (const raw of raws) raw.socket.write('goodbye\n');
          await Promise.all(raws.map((raw) => once(raw.socket, 'data')));
          await turns(round % 4);
          for (const raw of raws) raw.reset();
          await Promise.all(raws.map((raw) => raw.fate));
        }
      },
      counted: ({ errors }) => assert.equal(errors, 0),
    });
  });

  for (const grace of [0, 50, 60_000]) {
    test(`during a drain with ${grace} ms of grace leave a ledger that adds up`, async () => {
      const escaped = unhandled();
      const server = await serve(echoes.function, { port: 0, host: '127.0.0.1', transport: net.transport });
      const { port } = server.addresses[0] as { port: number };
      const raws = Array.from({ length: 200 }, () => new Raw(port));
      await eventually(
        () => server.status().active === 200,
        () => server.status(),
      );
      for (const raw of raws) raw.socket.write(half);
      await turns(5);
      const drained = server.drain({ grace, lead: 10, spread: 10 });
      for (const [i, raw] of raws.entries()) {
        if (i % 20 === 0) await turns(1);
        raw.reset();
      }
      const ledger = await drained;
      const { finished, idle, forced, failed, detached } = ledger;
      assert.equal(finished + idle + forced + failed + detached, ledger.connections);
      assert.equal(ledger.connections + server.status().closed - ledger.entries.length, 200);
      assert.equal(server.status().active, 0);
      assert.deepEqual(await escaped(), []);
    });
  }
});

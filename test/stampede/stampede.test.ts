import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { held } from '../support/memory.ts';
import { Watch, assertAddsUp, eventually, leavesNoThread, portOf, startOn, ways, worker } from '../parallel/support.ts';
import type { Way } from '../parallel/support.ts';

/** Seconds for each way; CI has more time than a person. */
const SECONDS = Number(process.env['PORTSIDE_STAMPEDE_SECONDS'] ?? 2);
const CLIENTS = 200;
const SEED = Number(process.env['PORTSIDE_SEED'] ?? Date.now() % 1_000_000);
/** What a worker is asked for that kills it. */
const deaths = ['throw', 'exit', 'hang', 'memory'] as const;
/** Bytes that may be held more than before: code that was compiled meanwhile, and what the engine keeps for the next time. */
const ALLOWED = 24 * 1_048_576;

/** What became of the connections of all clients. */
interface Outcomes {
  answered: number;
  /** Ended by the server, or reset, before the answer. */
  ended: number;
  /** Nobody listened. */
  refused: number;
  wrong: string[];
}

describe(`workers are killed under load for ${SECONDS} s`, () => {
  leavesNoThread();

  for (const way of ways()) {
    test(
      `every connection is answered or ended, and counted (${way.name})`,
      { timeout: (SECONDS + 60) * 1_000 },
      async (t) => {
        t.diagnostic(`seed ${SEED}; run it again with PORTSIDE_SEED=${SEED}`);
        const before = held();
        const random = seededRandom(SEED);
        const server = await startOn(way, worker('commands'), {
          parallelism: 3,
          watchdog: 500,
          queue: 32,
          backlog: 4_096,
          restart: { delay: 10, maxDelay: 100, limit: 1_000_000 },
          resourceLimits: { maxOldGenerationSizeMb: 40 },
          maxConnections: 150,
          lead: 0,
          grace: 10_000,
        });
        const watch = new Watch(server);
        const outcomes: Outcomes = { answered: 0, ended: 0, refused: 0, wrong: [] };
        let stop = false;
        const load = Array.from({ length: CLIENTS }, (_, i) => ask(server, i, outcomes, () => stop));
        const end = performance.now() + SECONDS * 1_000;
        let killed = 0;
        while (performance.now() < end) {
          await sleep(100 + random.int(200));
          if (await kill(server, random, outcomes)) killed += 1;
        }
        stop = true;
        await Promise.all(load);
        // All are back, and serve.
        await eventually(() => server.status().workers.filter(({ state }) => state === 'serving').length === 3);
        await Promise.all(Array.from({ length: 10 }, (_, i) => once(server, 1_000 + i, outcomes)));
        assert.deepEqual(outcomes.wrong, []);
        await eventually(() => server.status().active === 0);
        const status = server.status();
        assertAddsUp(status);
        const died = watch.of('died');
        const lost = died.reduce((sum, event) => sum + event.lost, 0);
        assert.equal(status.reasons['worker-died'] ?? 0, lost, 'what workers took with them is what is told');
        assert.ok(killed > 0 && died.length > 0 && died.every(({ worker: index }) => index < 3));
        // One that dies while it is being started is told too, and started once.
        assert.ok(status.restarts > 0 && status.restarts <= died.length);
        checkRefusals(way, outcomes);
        assert.ok(outcomes.answered > 100, JSON.stringify(outcomes));
        t.diagnostic(
          JSON.stringify({
            ...outcomes,
            killed,
            accepted: status.accepted,
            lost,
            reasons: status.reasons,
            told: tally(died.map(({ error }) => error.message.replace(/^worker \d /u, '').slice(0, 40))),
          }),
        );
        const ledger = await server.stop();
        assert.equal(ledger.connections, 0);
        await memoryIsBack(before);
      },
    );
  }
});

/** The port stays open while workers come and go, unless it is the workers' own and none is left. */
function checkRefusals(way: Way, { refused }: Outcomes): void {
  if (way.kernel && way.options.transport === 'node') return;
  assert.equal(refused, 0);
}

/** Asks questions on one connection after another. */
async function ask(server: ParallelServer, who: number, outcomes: Outcomes, over: () => boolean): Promise<void> {
  for (let i = 0; !over(); i += 1) {
    await once(server, who * 1_000_000 + i, outcomes);
    // Whoever was refused is not to hammer the port.
    await sleep(who % 7);
  }
}

async function open(server: ParallelServer, outcomes: Outcomes): Promise<Connection | null> {
  try {
    return await connect({ host: '127.0.0.1', port: portOf(server) }, { transport: nodeTransport, timeout: 30_000 });
  } catch (error) {
    if (systemCode(error) === 'ECONNREFUSED') outcomes.refused += 1;
    else if (systemCode(error) === 'ECONNRESET') outcomes.ended += 1;
    else outcomes.wrong.push(`connecting: ${String(error)}`);
    return null;
  }
}

async function once(server: ParallelServer, question: number, outcomes: Outcomes): Promise<void> {
  const client = await open(server, outcomes);
  if (client === null) return;
  try {
    await client.write(`${question}\n`);
    const answer = await client.readLine({ timeout: 30_000 });
    if (answer === null) outcomes.ended += 1;
    else if (answer === `${question}`) outcomes.answered += 1;
    else outcomes.wrong.push(`${question} was answered by ${answer}`);
    await client.close();
  } catch (error) {
    if (systemCode(error) === 'ECONNRESET' || systemCode(error) === 'EPIPE') outcomes.ended += 1;
    else outcomes.wrong.push(`${question}: ${String(error)}`);
    client.abort();
  }
}

/** Kills whichever worker it meets, in one of the ways. Whether the worker heard of it. */
async function kill(server: ParallelServer, random: Random, outcomes: Outcomes): Promise<boolean> {
  const client = await open(server, outcomes);
  if (client === null) return false;
  try {
    await client.write(`${deaths[random.int(deaths.length)]!}\n`);
    await client.readLine({ timeout: 30_000 });
  } catch {
    // It went down with its worker.
  }
  client.abort();
  return true;
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

async function memoryIsBack(before: number): Promise<void> {
  let more = 0;
  for (let round = 0; round < 20; round += 1) {
    await sleep(20);
    more = held() - before;
    if (more < ALLOWED) return;
  }
  assert.fail(`${(more / 1_048_576).toFixed(1)} MB are held more than before`);
}

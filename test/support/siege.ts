import assert from 'node:assert/strict';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import type { ServerStatus } from '../../src/server/status.ts';
import { watchLeaks } from './leaks.ts';
import { held, inUse, watchMemory } from './memory.ts';
import type { Net } from './nets.ts';
import { unhandled } from './unhandled.ts';

/** Milliseconds between two questions of the honest clients. */
const PACE = 10;
/** Bytes that may be in use more than before: code that was compiled meanwhile, and what the engine keeps for the next time. */
const ALLOWED = 12 * 1_048_576;

/** A server under attack, as the attacker and the honest clients see it. */
export interface Siege {
  readonly server: Server;
  readonly net: Net;
  readonly port: number;
  /** One more client, by Portside's own `connect`. */
  readonly dial: (options?: ConnectOptions) => Promise<Connection>;
  /** The most memory that was seen to be held since the beginning, in bytes beyond it. */
  readonly peak: number;
}

/** How a server is attacked, and what has to hold. */
export interface Plan {
  /** A handler that answers a line by the same line, unless honest clients ask otherwise. */
  readonly handler: Handler<never>;
  readonly options?: ServerOptions | undefined;
  /** How honest clients connect. */
  readonly client?: ConnectOptions | undefined;
  /** A question and its answer; rejects when it is not the right one. */
  readonly ask?: ((client: Connection, within: number) => Promise<void>) | undefined;
  /** Whether honest clients get in anew while it goes on. @default true */
  readonly newcomers?: boolean | undefined;
  /** Milliseconds within which honest clients get in, and get their answer. @default 5000 */
  readonly within?: number | undefined;
  /** Resolves when the attack is over; its clients may be left open, and are ended by the server then, or by the attacker. */
  attack(siege: Siege): Promise<void>;
  /** Looks at the counts when only an honest client is left. */
  counted(status: ServerStatus): void;
  /** Bytes that may be in use more than before. */
  readonly allowed?: number | undefined;
}

let question = 0;

/** Sends a line and waits for the same one. */
export async function askByLine(client: Connection, within: number): Promise<void> {
  const line = `is anybody there? ${(question += 1)}`;
  await client.write(`${line}\n`);
  assert.equal(await client.readLine({ timeout: within }), line);
}

/** Waits until something is true, for some seconds at most; else fails with what `state` tells. */
export async function eventually(met: () => boolean, state: () => unknown): Promise<void> {
  const end = performance.now() + 10_000;
  while (!met()) {
    if (performance.now() > end) assert.fail(`it did not come to pass: ${JSON.stringify(state())}`);
    await new Promise(setImmediate);
  }
}

/** Every connection that was accepted is accounted for, and so is every end. */
export function assertAddsUp(status: ServerStatus): void {
  const { accepted, active, closed, detached, reasons } = status;
  assert.equal(active + closed + detached, accepted, 'every connection is active, closed or detached');
  const told = Object.values(reasons).reduce((total, count) => total + count, 0);
  assert.equal(told, closed, `every end has its reason: ${JSON.stringify(reasons)}`);
}

/**
 * Attacks a server that honest clients use before, meanwhile and afterwards, and holds it to its promises: each of their questions is answered
 * in time, its counts add up and tell what happened, its memory comes back, nothing stays open, and no error escapes.
 */
export async function besieged(net: Net, plan: Plan): Promise<void> {
  const noLeaks = watchLeaks();
  const escaped = unhandled();
  const place = plan.options?.listen === undefined ? { port: 0, host: '127.0.0.1' } : {};
  const server = await serve(plan.handler, { ...place, transport: net.transport, ...plan.options });
  try {
    await besiege(server, net, plan);
    const ledger = await server.stop({ grace: 1_000 });
    assert.equal(ledger.forced, 0, 'nobody had to be ended by force');
  } finally {
    // Where it did not hold, nothing may hold the process up.
    await server.stop({ grace: 0 });
  }
  await noLeaks();
  assert.deepEqual(await escaped(), []);
}

async function besiege(server: Server, net: Net, plan: Plan): Promise<void> {
  const { within = 5_000, newcomers = true, ask = askByLine } = plan;
  const [address] = server.addresses;
  if (address === undefined || !('port' in address)) throw new Error('no port');
  const { port } = address;
  const dial = (options?: ConnectOptions): Promise<Connection> =>
    connect({ host: '127.0.0.1', port }, { transport: net.transport, timeout: within, ...options });
  const come = async (): Promise<void> => {
    const client = await dial(plan.client);
    await ask(client, within);
    await client.close();
  };
  const honest = await dial(plan.client);
  await ask(honest, within);
  await come();
  const memoryIsBack = await watchMemory(server);
  const before = held();
  let peak = 0;
  let going = true;
  const siege: Siege = {
    server,
    net,
    port,
    dial,
    get peak() {
      return peak;
    },
  };
  const attack = plan.attack(siege).finally(() => {
    going = false;
  });
  // What it fails with is told below, when the honest clients are through.
  attack.catch(() => {});
  while (going) {
    await ask(honest, within);
    if (newcomers) await come();
    // A collection takes its time, so it is only made where there seems to be more than ever.
    if (inUse() - before > peak) peak = Math.max(peak, held() - before);
    await new Promise((resolve) => {
      setTimeout(resolve, PACE);
    });
  }
  await attack;
  await eventually(
    () => server.status().active === 1,
    () => server.status({ connections: true }),
  );
  await ask(honest, within);
  await come();
  await eventually(
    () => server.status().active === 1,
    () => server.status({ connections: true }),
  );
  const status = server.status();
  assertAddsUp(status);
  plan.counted(status);
  await memoryIsBack(plan.allowed ?? ALLOWED);
  await honest.close();
}

import assert from 'node:assert/strict';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import type { ServerStatus } from '../../src/server/status.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { watchMemory } from './memory.ts';
import { askByLine, assertAddsUp } from './siege.ts';
import { unhandled } from './unhandled.ts';

const place = { host: '127.0.0.1', port: 4_000 };

/** A server under attack in a network and a time of its own. */
export interface TimeSiege {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly server: Server;
  /** One more client, when it is connected. */
  readonly dial: (options?: ConnectOptions) => Promise<Connection>;
  /** Lets the time pass; after each `step`, 1,000 milliseconds unless told otherwise, an honest client asks, and is answered without any more time passing. */
  readonly pass: (ms: number, step?: number) => Promise<void>;
}

/** How a server is attacked over a time, and what has to hold. */
export interface TimePlan {
  /** A handler that answers a line by the same line. */
  readonly handler: Handler<never>;
  readonly options?: ServerOptions | undefined;
  readonly client?: ConnectOptions | undefined;
  /** Whether the honest client stays through it all, and asks; else one comes anew for each question. @default true */
  readonly stays?: boolean | undefined;
  attack(siege: TimeSiege): Promise<void>;
  /** Looks at the counts when nobody is left but an honest client that stays. */
  counted(status: ServerStatus): void;
}

/** As `besieged`, where it is about time: each question of the honest clients is answered in the very moment in which it is asked. */
export async function besiegedInTime(plan: TimePlan): Promise<void> {
  const { stays = true } = plan;
  const escaped = unhandled();
  const clock = new VirtualClock();
  const network = memoryNetwork({ clock });
  const { transport } = network;
  const scope = new Scope({ clock });
  await scope.run(async () => {
    const server = await serve(plan.handler, { ...place, transport, ...plan.options });
    const dial = (options?: ConnectOptions): Promise<Connection> =>
      clock.run(connect(place, { transport, ...options }), { limit: 0 });
    const ask = (client: Connection): Promise<void> => clock.run(askByLine(client, 1), { limit: 0 });
    const honest = stays ? await dial(plan.client) : null;
    const check = async (): Promise<void> => {
      if (honest !== null) return ask(honest);
      const client = await dial(plan.client);
      await ask(client);
      await clock.run(client.close(), { limit: 0 });
    };
    const pass = async (ms: number, step = 1_000): Promise<void> => {
      for (let left = ms; left > 0; left -= step) {
        await clock.advance(Math.min(left, step));
        await check();
      }
    };
    await check();
    const memoryIsBack = await watchMemory(server);
    await plan.attack({ clock, network, server, dial, pass });
    await check();
    await clock.settle();
    const status = server.status({ connections: true });
    assert.equal(status.active, stays ? 1 : 0, JSON.stringify(status));
    assertAddsUp(status);
    plan.counted(status);
    await memoryIsBack(12 * 1_048_576);
    if (honest !== null) await clock.run(honest.close(), { limit: 0 });
    await clock.run(server.stop(), { limit: 0 });
    // Who vanished has ends that nobody acknowledges; those who attacked are the scope's.
    await clock.run(scope.close());
    assert.equal(clock.armed, 0, 'no timer is left');
    assert.equal(network.listening, 0);
  });
  assert.deepEqual(await escaped(), []);
}

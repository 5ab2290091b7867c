import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Channel } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Faults, MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { bindOptions, Ear, pattern } from './memory-support.ts';

const rounds = 2_000;

/** A party that does as chance tells it, and knows what it sent. */
class Party extends Ear {
  sent = 0;
  #shut = false;

  constructor(channel: Channel) {
    super(channel, false);
    channel.set({ kind: 'keepAlive', on: true, delay: 10_000 });
  }

  act(random: Random): void {
    switch (random.int(12)) {
      case 0:
        return this.channel.flow(false);
      case 1:
      case 2:
        return this.channel.flow(true);
      case 3:
        return this.channel.wantWritable();
      case 4:
        if (random.int(4) > 0) return;
        this.#shut = true;
        return this.channel.shutdown();
      case 5:
        return random.int(8) === 0
          ? this.channel.destroy((['flush', 'drop', 'reset'] as const)[random.int(3)] ?? 'drop')
          : undefined;
      default: {
        const size = random.int(random.int(3) === 0 ? 3_000 : 50);
        this.channel.send(pattern(size, this.sent));
        if (!this.#shut) this.sent += size;
      }
    }
  }
}

function someFaults(random: Random): Faults {
  const maybe = (chance: number): number | undefined => (random.int(3) === 0 ? chance : undefined);
  const min = random.int(50);
  return {
    latency: random.int(2) === 0 ? { min, max: min + random.int(100) } : undefined,
    bandwidth: maybe(1_000 + random.int(100_000)),
    split: maybe(random.next()),
    coalesce: maybe(random.next()),
    reset: maybe(0.02),
    halfOpen: maybe(0.02),
    refuse: maybe(0.2),
    backlogFull: maybe(0.3),
    noDescriptors: maybe(0.2),
    slowReader:
      random.int(4) === 0
        ? { rate: 500 + random.int(5_000), side: (['client', 'server', 'both'] as const)[random.int(3)] }
        : undefined,
  };
}

interface Run {
  readonly lines: string[];
  readonly parties: readonly (readonly [Party, Party])[];
  readonly network: MemoryNetwork;
}

async function run(seed: number): Promise<Run> {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const random = seededRandom(seed);
  const network = memoryNetwork({
    clock,
    seed,
    bufferSize: 1 + random.int(4_000),
    userTimeout: 5_000,
    synRetry: 3,
    faults: someFaults(random),
    trace: (line) => lines.push(line),
  });
  const acceptor = await network.transport.listen(
    { kind: 'memory', name: 'x' },
    { ...bindOptions, backlog: 1 + random.int(3) },
  );
  const servers = new Map<string, Party>();
  acceptor.watcher = {
    ready() {
      const channel = acceptor.take();
      if (channel === null || channel.remote.family !== 'memory') return;
      servers.set(channel.remote.name, new Party(channel));
    },
    trouble() {},
  };
  acceptor.want(true);
  const clients: Party[] = [];
  for (let i = 0; i < 3; i++) {
    const dial = network.transport.dial({ kind: 'memory', name: 'x' });
    dial.result.then(
      (channel) => clients.push(new Party(channel)),
      () => {},
    );
    if (random.int(10) === 0) dial.cancel();
  }
  for (let step = 0; step < 24; step++) {
    for (const party of [...clients, ...servers.values()]) party.act(random);
    if (random.int(30) === 0) network.partition(random.int(2) === 0);
    if (random.int(60) === 0) network.resetAll();
    if (random.int(40) === 0) network.faults(someFaults(random));
    await clock.advance(random.int(3) === 0 ? random.int(2_000) : random.int(20));
  }
  // Everybody reads what is left and goes; nobody may be left over.
  network.partition(false);
  network.faults({});
  await clock.advance(200_000);
  for (const party of [...clients, ...servers.values()]) {
    party.channel.flow(true);
    party.channel.destroy('flush');
  }
  await clock.advance(200_000);
  for (const party of [...clients, ...servers.values()]) party.channel.destroy('drop');
  acceptor.close();
  await clock.advance(200_000);
  const parties = clients.flatMap((client) => {
    const name = client.channel.local.family === 'memory' ? client.channel.local.name : '';
    const server = servers.get(name);
    return server === undefined ? [] : [[client, server] as const];
  });
  return { lines, parties, network };
}

function checkArrived(from: Party, to: Party, seed: number): void {
  assert.ok(to.bytes <= from.sent, `seed ${seed}: more arrived than was sent`);
  assert.ok(
    Buffer.concat(to.chunks).equals(pattern(to.bytes)),
    `seed ${seed}: what arrived is no prefix of what was sent`,
  );
  assert.ok(
    to.closed !== null && to.heard.at(-1) === `close ${to.closed.kind}`,
    `seed ${seed}: the close comes once, and last`,
  );
  if (to.closed.kind === 'ended' && from.closed?.kind === 'ended') {
    assert.equal(to.bytes, from.sent, `seed ${seed}: both ended in order, and bytes are missing`);
  }
}

describe('a network in memory under chance', () => {
  test(`delivers prefixes, closes once and leaks nothing, over ${rounds} seeded schedules`, async () => {
    let ends = 0;
    const kinds = new Set<string>();
    for (let seed = 1; seed <= rounds; seed++) {
      const { parties, network } = await run(seed);
      for (const [client, server] of parties) {
        checkArrived(client, server, seed);
        checkArrived(server, client, seed);
        for (const { closed } of [client, server]) kinds.add(closed?.kind ?? 'none');
        ends += 2;
      }
      assert.equal(network.open, 0, `seed ${seed}: ends are left open`);
      assert.equal(network.listening, 0, `seed ${seed}: listeners are left open`);
    }
    assert.ok(ends > rounds * 2, `only ${ends} ends were looked at`);
    assert.deepEqual([...kinds].sort(), ['aborted', 'closed', 'dropped', 'ended', 'failed', 'reset']);
  });

  test('does the same again for the same seed, to the line', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 200; seed++) {
      const first = (await run(seed)).lines.join('\n');
      assert.equal((await run(seed)).lines.join('\n'), first, `seed ${seed}`);
      seen.add(first);
    }
    assert.equal(seen.size, 200, 'another seed gives another schedule');
  });
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { borrowedPermits } from '../../src/parallel/borrowed-permits.ts';
import type { BorrowedPermits } from '../../src/parallel/borrowed-permits.ts';
import { CountedArrivals } from '../../src/parallel/counted-arrivals.ts';
import { PermitPool } from '../../src/parallel/permit-pool.ts';
import type { Loan } from '../../src/parallel/permit-pool.ts';
import type { PermitStore } from '../../src/server/permits.ts';
import type { Server } from '../../src/server/server.ts';
import { systemClock } from '../../src/sync/clock.ts';
import type { Address } from '../../src/transport/address.ts';
import type { Acceptor, AcceptorWatcher, Channel, Transport } from '../../src/transport/contract.ts';
import { dial, serveOn, until } from '../server/support.ts';
import { onEachNet } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';

const echo = async (connection: Connection): Promise<void> => {
  for await (const bytes of connection) await connection.write(bytes);
};

/** Takes a permit of each of some pools before it takes a connection, and hands them on with it: what a parent does, in one thread. */
class Front implements Acceptor {
  watcher: AcceptorWatcher | null = null;
  readonly address: Address;
  readonly kernelQueue: boolean;
  readonly #inner: Acceptor;
  readonly #store: PermitStore;
  readonly #loan: Loan;
  #waits = false;

  constructor(inner: Acceptor, store: PermitStore, loan: Loan) {
    this.#inner = inner;
    this.#store = store;
    this.#loan = loan;
    this.address = inner.address;
    this.kernelQueue = inner.kernelQueue;
    inner.watcher = { ready: () => this.watcher?.ready(), trouble: (error) => this.watcher?.trouble(error) };
  }

  take(): Channel | null {
    if (!this.#store.take()) {
      this.#wait();
      return null;
    }
    const channel = this.#inner.take();
    if (channel === null) this.#store.give();
    else this.#loan.handed();
    return channel;
  }

  pending(): boolean {
    return this.#inner.pending();
  }

  want(on: boolean): void {
    this.#inner.want(on && !this.#waits);
  }

  close(): void {
    this.#inner.close();
  }

  ref(on: boolean): void {
    this.#inner.ref(on);
  }

  #wait(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#inner.want(false);
    this.#store.wait(() => {
      this.#waits = false;
      this.#inner.want(true);
      this.watcher?.ready();
    });
  }
}

function fronted(net: Net, pool: PermitPool, loan: Loan, permits: readonly BorrowedPermits[]): Transport {
  const { transport } = net;
  return {
    name: transport.name,
    flags: transport.flags,
    listen: async (target, options) =>
      new CountedArrivals(new Front(await transport.listen(target, options), pool.store, loan), permits),
    dial: (target) => transport.dial(target),
    adopt: (released) => transport.adopt(released),
  };
}

async function answered(client: Connection): Promise<void> {
  await client.write('?');
  assert.equal(Buffer.from((await client.read())!).toString(), '?');
}

function inUse(pool: PermitPool): number {
  return pool.used - pool.unused;
}

// Ports of permits keep nothing alive, and in memory there is nothing else.
let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => {}, 60_000);
});
after(() => clearInterval(alive));

onEachNet('servers whose permits are a pool’s', (net) => {
  test('share one limit where they lease them, and every permit is used by whoever has clients', async () => {
    const pool = new PermitPool({ connections: 5 }, systemClock);
    const loans = [pool.lend('leased'), pool.lend('leased')];
    const stores = loans.map(({ ticket }) => borrowedPermits(ticket));
    const servers = await Promise.all(stores.map((permits) => serveOn(net, echo, { permits })));
    const [one, other] = servers as [Server, Server];
    const clients: Connection[] = [];
    for (let count = 0; count < 4; count += 1) {
      const client = await dial(net, one);
      await answered(client);
      clients.push(client);
    }
    const last = await dial(net, other);
    await answered(last);
    assert.equal(inUse(pool), 5);
    const waits = await Promise.all([dial(net, other), dial(net, one)]);
    const heard = waits.map(answered);
    await until(() => pool.waiting === 2);
    assert.equal(one.status().active + other.status().active, 5);
    for (const client of clients.splice(0, 2)) await client.close();
    await Promise.all(heard);
    assert.equal(inUse(pool), 5);
    await Promise.all([...clients, last, ...waits].map((client) => client.close()));
    await until(() => inUse(pool) === 0);
    await Promise.all(servers.map((server) => server.stop()));
    for (const permits of stores) permits.close();
    for (const loan of loans) loan.end();
    assert.equal(pool.used, 0);
  });

  test('keep a limit of an endpoint over all of them, beside the server’s', async () => {
    const pool = new PermitPool({ connections: 10 }, systemClock);
    const own = new PermitPool({ connections: 2 }, systemClock);
    const servers: Server[] = [];
    const loans: Loan[] = [];
    for (let count = 0; count < 2; count += 1) {
      const [all, few] = [pool.lend('leased'), own.lend('leased')];
      loans.push(all, few);
      servers.push(
        await serveOn(net, echo, {
          permits: borrowedPermits(all.ticket),
          listen: [{ host: '127.0.0.1', port: 0, transport: net.transport, permits: borrowedPermits(few.ticket) }],
        }),
      );
    }
    const clients = await Promise.all(servers.map((server) => dial(net, server)));
    await Promise.all(clients.map(answered));
    const third = await dial(net, servers[0]!);
    const heard = answered(third);
    await until(() => own.waiting > 0);
    assert.equal(inUse(pool), 2);
    assert.equal(pool.waiting, 0);
    await clients[1]!.close();
    await heard;
    assert.equal(inUse(own), 2);
    await Promise.all([...clients, third].map((client) => client.close()));
    await until(() => inUse(own) === 0 && inUse(pool) === 0);
    await Promise.all(servers.map((server) => server.stop()));
    for (const loan of loans) loan.end();
    assert.equal(pool.used + own.used, 0);
  });

  test('give back exactly what was handed to them, however often they look for clients in vain', async () => {
    const pool = new PermitPool({ connections: 3 }, systemClock);
    const loan = pool.lend('handed');
    const permits = borrowedPermits(loan.ticket);
    const server = await serveOn(net, echo, { permits, transport: fronted(net, pool, loan, [permits]) });
    for (let round = 0; round < 5; round += 1) {
      const clients = await Promise.all(Array.from({ length: 3 }, () => dial(net, server)));
      await Promise.all(clients.map(answered));
      assert.equal(loan.out, 3);
      assert.equal(pool.used, 3);
      const fourth = await dial(net, server);
      const heard = answered(fourth);
      await until(() => pool.waiting === 1);
      await clients[0]!.close();
      await heard;
      await Promise.all([...clients, fourth].map((client) => client.close()));
      await until(() => pool.used === 0);
      assert.equal(loan.out, 0);
    }
    await server.stop();
    permits.close();
    assert.equal(loan.end(), 0);
  });

  test('count clients over all of them, those too that are in before there is a limit', async () => {
    const pool = new PermitPool({}, systemClock);
    const loans = [pool.lend('leased'), pool.lend('leased')];
    const servers: Server[] = [];
    for (const { ticket } of loans) {
      const permits = borrowedPermits(ticket);
      const server = await serveOn(net, echo, { permits });
      permits.onLimits = ({ perClient }) => server.set({ maxPerClient: perClient });
      servers.push(server);
    }
    const first = await dial(net, servers[0]!);
    await answered(first);
    pool.resize({ perClient: 2 });
    await until(() => pool.clients === 1 && servers.every((server) => server.status().maxPerClient === 2));
    const second = await dial(net, servers[1]!);
    await answered(second);
    const client = '127.0.0.1';
    assert.equal(pool.usedBy(client), 2);
    const third = await dial(net, servers[0]!);
    await until(() => servers[0]!.status().refused['client-full'] === 1);
    third.abort();
    await first.close();
    await until(() => pool.usedBy(client) === 1);
    const fourth = await dial(net, servers[1]!);
    await answered(fourth);
    await Promise.all([second, fourth].map((one) => one.close()));
    await until(() => pool.clients === 0);
    await Promise.all(servers.map((server) => server.stop()));
    for (const loan of loans) loan.end();
  });
});

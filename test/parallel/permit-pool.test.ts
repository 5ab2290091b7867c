import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { after, before, describe, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { capturingUncaught } from '../support/uncaught.ts';
import { taken, town, turns } from './permit-pool-support.ts';

const state = { code: 'ERR_PORTSIDE_STATE' };

// Ports of permits keep nothing alive, and here there is nothing else.
let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => {}, 60_000);
});
after(() => clearInterval(alive));

describe('a loan', () => {
  test('travels as a ticket that can be posted, and keeps nothing alive', () => {
    const { loan } = town({ connections: 3 }, 'leased').workers[0]!;
    const { port1 } = new MessageChannel();
    port1.postMessage(loan.ticket, [...loan.transfer]);
    port1.close();
    assert.throws(() => port1.postMessage(loan.ticket, [...loan.transfer]), { name: 'DataCloneError' });
    // That the process ends although loans are open is held by this test program itself.
  });

  test('of handed permits: they are the parent’s until handed, the worker’s until given, and none is out by a look that found nobody', () => {
    const { pool, workers } = town({ connections: 2 }, 'handed');
    const { loan, permits } = workers[0]!;
    assert.throws(() => loan.handed(), state);
    assert.ok(pool.take());
    assert.ok(pool.take());
    assert.equal(pool.take(), false);
    loan.handed();
    assert.equal(loan.out, 1);
    assert.ok(permits.take());
    permits.give();
    assert.equal(loan.out, 1);
    assert.ok(permits.take());
    permits.arrived();
    assert.ok(permits.take());
    permits.give();
    assert.equal(loan.out, 1);
    assert.equal(permits.used, 1);
    permits.give();
    assert.equal(loan.out, 0);
    assert.throws(() => permits.give(), state);
    assert.equal(pool.used, 1);
    assert.ok(pool.take());
    pool.give();
    pool.give();
    assert.throws(() => pool.give(), state);
  });

  test('of handed permits: a connection that nobody took comes back with its permit', () => {
    const { pool, workers } = town({ connections: 2 }, 'handed');
    const { loan } = workers[0]!;
    assert.ok(pool.take());
    loan.handed();
    loan.takeBack();
    assert.throws(() => loan.takeBack(), state);
    assert.equal(pool.used, 1);
    pool.give();
    assert.equal(pool.used, 0);
    assert.ok(pool.take());
    loan.end();
    assert.throws(() => loan.handed(), state);
    assert.throws(() => loan.takeBack(), state);
    assert.equal(pool.used, 1);
  });

  test('that ends tells how many it had, once, and frees them for those who wait', async () => {
    const { pool, workers } = town({ connections: 3 }, 'handed', 'leased');
    const [handed, leased] = workers;
    for (let count = 0; count < 2; count += 1) {
      assert.ok(pool.take());
      handed!.loan.handed();
    }
    await taken(leased!.permits);
    const waits = [taken(pool), taken(leased!.permits)];
    await turns();
    assert.equal(pool.waiting, 2);
    assert.equal(handed!.loan.end(), 2);
    assert.equal(handed!.loan.end(), 0);
    await Promise.all(waits);
    assert.equal(pool.used, 3);
    assert.equal(leased!.loan.end(), 2);
    assert.equal(pool.used, 1);
    assert.deepEqual([...pool.loans], []);
  });
});

describe('leased permits', () => {
  test('are lent in portions, so that a worker need not ask for each, and more come before it has none', async () => {
    const { pool, workers } = town({ connections: 10_000 }, 'leased', 'leased');
    const { loan, permits } = workers[0]!;
    assert.equal(loan.unused, 256);
    for (let count = 0; count < 128; count += 1) assert.ok(permits.take());
    assert.equal(loan.unused, 128);
    assert.ok(permits.take());
    await turns();
    assert.ok(loan.unused > 256);
    assert.equal(pool.used - pool.unused, 129);
  });

  test('that lie unused in one worker are had by another, and by the parent, to the last', async () => {
    const { pool, workers } = town({ connections: 100 }, 'leased', 'leased', 'leased');
    const [busy, ...idle] = workers;
    assert.ok(idle.every(({ loan }) => loan.unused > 0));
    for (let count = 0; count < 99; count += 1) if (!busy!.permits.take()) await taken(busy!.permits);
    assert.equal(pool.unused, 1);
    assert.ok(pool.take());
    assert.equal(pool.unused, 0);
    assert.equal(pool.take(), false);
    assert.ok(workers.every(({ permits }) => !permits.take()));
  });

  test('are had in the order of asking, by workers and the parent alike, when there is but one', async () => {
    const { pool, workers } = town({ connections: 1 }, 'leased', 'leased', 'leased');
    assert.ok(pool.take());
    const order: number[] = [];
    const all = [2, 0, -1, 1, 2, 0];
    const waits: Promise<void>[] = [];
    for (const who of all) {
      const permits = who === -1 ? pool : workers[who]!.permits;
      waits.push(
        taken(permits).then(() => {
          order.push(who);
          permits.give();
        }),
      );
      await turns();
    }
    assert.deepEqual(order, []);
    pool.give();
    await Promise.all(waits);
    // A worker that waits for two is served twice when its turn comes again.
    assert.deepEqual(order, [2, 0, -1, 1, 2, 0]);
    assert.equal(pool.used - pool.unused, 0);
  });

  test('go back at once while others wait, and stay when nobody does', async () => {
    const { pool, workers } = town({ connections: 2 }, 'leased', 'leased');
    const [one, other] = workers;
    await taken(one!.permits);
    await taken(one!.permits);
    one!.permits.give();
    assert.equal(one!.loan.out, 2);
    assert.equal(one!.loan.unused, 1);
    assert.ok(one!.permits.take());
    const waits = taken(other!.permits);
    await turns();
    one!.permits.give();
    assert.equal(one!.permits.take(), false);
    await waits;
    assert.equal(one!.loan.out, 1);
    assert.equal(other!.loan.out, 1);
    assert.equal(pool.used, 2);
  });

  test('that were granted to somebody who no longer wants them go to the next', async () => {
    const { pool, workers } = town({ connections: 1 }, 'leased', 'leased');
    const [one, other] = workers;
    assert.ok(pool.take());
    let woken = false;
    one!.permits.wait(() => {
      woken = true;
    });
    await turns();
    const waits = taken(other!.permits);
    await turns();
    pool.give();
    await waits;
    assert.ok(woken);
    const cancel = one!.permits.wait(() => assert.fail('it was called off'));
    await turns();
    const here = taken(pool);
    cancel();
    other!.permits.give();
    await here;
  });

  test('are looked for again when somebody was faster than who waits', async () => {
    const { pool, workers } = town({ connections: 2_000 }, 'leased');
    const { loan, permits } = workers[0]!;
    assert.ok(pool.take());
    const waits = taken(pool);
    assert.ok(permits.take());
    pool.resize({ connections: 4 });
    // One was freed for who waits, and one is left to the worker, which does not use it.
    assert.ok(pool.take());
    await waits;
    assert.equal(loan.out, 1);
    assert.equal(pool.used, 4);
  });

  test('that a worker does not use can be had as soon as it can’t be reached, and the others when it has ended', async () => {
    const { pool, workers } = town({ connections: 40 }, 'leased');
    const { loan, permits } = workers[0]!;
    for (let count = 0; count < 4; count += 1) assert.ok(permits.take());
    while (pool.used < 40) assert.ok(pool.take());
    assert.equal(loan.unused, 6);
    const waits = permits.wait(() => assert.fail('it is gone'));
    waits();
    loan.ticket.port.close();
    await turns();
    assert.equal(loan.unused, 0);
    assert.equal(loan.out, 4);
    assert.equal(pool.used, 34);
    assert.equal(loan.end(), 4);
    assert.equal(pool.used, 30);
  });

  test('can’t be taken any more from the moment in which the limit goes down', async () => {
    const { pool, workers } = town({ connections: 1_000 }, 'leased', 'leased');
    for (const { permits } of workers) for (let count = 0; count < 100; count += 1) assert.ok(permits.take());
    pool.resize({ connections: 150 });
    assert.equal(pool.unused, 0);
    assert.equal(pool.used, 200);
    for (const { permits } of workers) assert.equal(permits.take(), false);
    for (const { permits } of workers) for (let count = 0; count < 25; count += 1) permits.give();
    for (const { permits } of workers) assert.equal(permits.take(), false);
    assert.equal(pool.used, 150);
    await turns();
    assert.deepEqual(
      workers.map(({ permits }) => permits.limit),
      [150, 150],
    );
    const waits = workers.map(({ permits }) => taken(permits));
    await turns();
    assert.equal(pool.waiting, 2);
    pool.resize({ connections: 152 });
    await Promise.all(waits);
    assert.equal(pool.used, 152);
  });

  test('count as all out, where none is left, so that whoever looks finds the store that is scarce', async () => {
    const { workers } = town({ connections: 8 }, 'leased', 'leased');
    const { permits } = workers[0]!;
    while (permits.take());
    assert.ok(permits.used >= permits.limit);
    permits.give();
    assert.ok(permits.used < permits.limit);
    const endless = town({}, 'leased').workers[0]!.permits;
    assert.ok(endless.take());
    assert.equal(endless.used, 1);
    while (endless.take());
    assert.ok(endless.used >= endless.limit);
    await taken(endless);
  });

  test('are not asked for at every connection when the parent has no more', async () => {
    const { pool, workers } = town({ connections: 16 }, 'leased');
    const { loan, permits } = workers[0]!;
    for (let count = 0; count < 12; count += 1) assert.ok(pool.take());
    assert.equal(loan.out, 4);
    let posts = 0;
    const { port } = loan.ticket;
    const post = port.postMessage.bind(port);
    port.postMessage = (...args: Parameters<typeof post>): void => {
      posts += 1;
      post(...args);
    };
    for (let round = 0; round < 50; round += 1) {
      for (let count = 0; count < 3; count += 1) assert.ok(permits.take());
      await turns(3);
      for (let count = 0; count < 3; count += 1) permits.give();
    }
    assert.equal(posts, 1);
  });
});

describe('a worker that waits', () => {
  test('is woken from a fresh stack, outside of the context of who gave', async () => {
    const { permits } = town({ connections: 1 }, 'leased').workers[0]!;
    await taken(permits);
    const storage = new AsyncLocalStorage<string>();
    let giving = false;
    const woken = new Promise<string | undefined>((resolve) => {
      permits.wait(() => {
        assert.ok(!giving);
        resolve(storage.getStore());
      });
    });
    storage.run('a client', () => {
      giving = true;
      permits.give();
      giving = false;
    });
    assert.equal(await woken, undefined);
  });

  test('does not keep others from being woken by throwing, and there is a limit to how many wait', async () => {
    const { permits } = town({ connections: 1 }, 'leased').workers[0]!;
    await capturingUncaught(async (caught) => {
      permits.wait(() => {
        throw new Error('a mistake in a wake');
      });
      await taken(permits);
      await turns();
      assert.deepEqual(caught, [new Error('a mistake in a wake')]);
    });
    const cancels = Array.from({ length: 10_000 }, () => permits.wait(() => assert.fail('nothing is free')));
    assert.throws(() => permits.wait(() => {}), { code: 'ERR_PORTSIDE_LIMIT' });
    for (const cancel of cancels) cancel();
  });

  test('is woken at once where permits are handed, as each comes with its connection', async () => {
    const { permits } = town({ connections: 0 }, 'handed').workers[0]!;
    await taken(permits);
  });
});

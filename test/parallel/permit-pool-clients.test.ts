import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { PermitTicket } from '../../src/parallel/permit-pool.ts';
import { taken, town, turns } from './permit-pool-support.ts';

const state = { code: 'ERR_PORTSIDE_STATE' };
const closed = { code: 'ERR_PORTSIDE_CLOSED' };

// Ports of permits keep nothing alive, and here there is nothing else.
let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => {}, 60_000);
});
after(() => clearInterval(alive));

describe('connections of one client', () => {
  test('are counted over all workers, and come back with the worker that had them', async () => {
    const { pool, workers } = town({ perClient: 3 }, 'handed', 'leased');
    const [one, other] = workers;
    assert.equal(await one!.permits.takeFor('a'), true);
    assert.equal(await one!.permits.takeFor('a'), true);
    assert.equal(await other!.permits.takeFor('a'), true);
    assert.equal(await other!.permits.takeFor('a'), false);
    assert.equal(pool.takeFor('a'), false);
    assert.throws(() => one!.permits.giveFor('b'), state);
    one!.permits.giveFor('a');
    await turns();
    assert.equal(pool.usedBy('a'), 2);
    // Posted, and not heard before the end: counted once all the same.
    one!.permits.giveFor('a');
    assert.throws(() => one!.permits.giveFor('a'), state);
    one!.loan.end();
    assert.equal(pool.usedBy('a'), 1);
    await turns();
    assert.equal(pool.usedBy('a'), 1);
    other!.loan.end();
    assert.equal(pool.clients, 0);
  });

  test('are refused with an error, and never left open, when the parent can’t answer any more', async () => {
    const { pool, workers } = town({ perClient: 3 }, 'handed', 'leased');
    const [one, other] = workers;
    const rejected = [one!.permits.takeFor('a'), other!.permits.takeFor('a')].map((wait) =>
      assert.rejects(wait, closed),
    );
    one!.loan.end();
    other!.permits.close();
    await Promise.all(rejected);
    for (const { permits } of workers) await assert.rejects(permits.takeFor('a'), closed);
    // The answer for the one that closed comes late, and is given back.
    await turns();
    assert.equal(pool.clients, 0);
  });

  test('can’t be asked for without end', async () => {
    const { permits, loan } = town({ perClient: 1 }, 'leased').workers[0]!;
    const waits: Promise<boolean>[] = [];
    for (let count = 0; count < 100_000; count += 1) waits.push(permits.takeFor('a'));
    await assert.rejects(permits.takeFor('a'), { code: 'ERR_PORTSIDE_LIMIT' });
    assert.equal((await Promise.all(waits)).filter(Boolean).length, 1);
    loan.end();
  });

  test('have a limit that follows the parent’s, and is told before it holds', async () => {
    const { pool, workers } = town({}, 'handed');
    const { permits } = workers[0]!;
    const told: [number, number, number][] = [];
    permits.onLimits = ({ connections, perClient }) => {
      told.push([connections, perClient, permits.perClient]);
      permits.resize({ perClient });
    };
    pool.resize({ connections: 9, perClient: 2 });
    await turns();
    assert.deepEqual(told, [[9, 2, Infinity]]);
    assert.equal(permits.perClient, 2);
    assert.equal(permits.limit, 9);
    permits.resize({ connections: 9 });
    assert.throws(() => permits.resize({ connections: 10 }), state);
    assert.throws(() => pool.resize({ connections: -1 }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

describe('a worker that closes', () => {
  test('gives back what it does not use, and the rest as it is given, and then lets go of its port', async () => {
    const { pool, workers } = town({ connections: 100, perClient: 9 }, 'leased', 'handed');
    const [leased, handed] = workers;
    for (let count = 0; count < 5; count += 1) assert.ok(leased!.permits.take());
    assert.equal(await leased!.permits.takeFor('a'), true);
    assert.ok(pool.take());
    handed!.loan.handed();
    assert.ok(handed!.permits.take());
    handed!.permits.arrived();
    const gone = workers.map(({ loan }) => portClosed(loan.ticket));
    leased!.permits.wait(() => assert.fail('it takes no more'));
    for (const { permits } of workers) {
      permits.close();
      permits.close();
    }
    assert.equal(leased!.permits.take(), false);
    leased!.permits.wait(() => assert.fail('it takes no more'));
    assert.equal(leased!.loan.out, 5);
    // What is given afterwards is had by who waits for it.
    while (pool.used < 100) assert.ok(pool.take());
    const waits = [taken(pool), taken(pool)];
    leased!.permits.give();
    handed!.permits.give();
    await Promise.all(waits);
    await gone[1];
    for (let count = 0; count < 4; count += 1) leased!.permits.give();
    assert.equal(pool.used, 96);
    leased!.permits.giveFor('a');
    await gone[0];
    assert.equal(pool.usedBy('a'), 0);
    assert.equal(leased!.loan.end(), 0);
  });

  test('does not hold what was just granted to it', async () => {
    const { pool, workers } = town({ connections: 1 }, 'leased');
    const { permits } = workers[0]!;
    assert.ok(pool.take());
    permits.wait(() => assert.fail('it is closed'));
    await turns();
    const waits = taken(pool);
    pool.give();
    permits.close();
    await waits;
  });
});

function portClosed({ port }: PermitTicket): Promise<void> {
  return new Promise((resolve) => {
    port.once('close', () => resolve());
    port.unref();
  });
}

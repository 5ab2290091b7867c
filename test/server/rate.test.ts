import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RateLimiter } from '../../src/server/rate.ts';
import type { RateOptions } from '../../src/server/rate.ts';
import type { Clock } from '../../src/sync/clock.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

/** A clock that can be set to any time, and that nobody may ask for a timer. */
class HandClock implements Clock {
  time: number;

  constructor(time = 12_345.678) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  wall(): number {
    return assert.fail('the wall clock jumps');
  }

  after(): never {
    return assert.fail('no timers');
  }

  soon(): never {
    return assert.fail('no timers');
  }
}

function limiterOf(options: RateOptions): { clock: HandClock; limiter: RateLimiter } {
  const clock = new HandClock();
  return { clock, limiter: new RateLimiter(options, clock) };
}

/** How many of some tries a client is allowed. */
function allowed(limiter: RateLimiter, client: string, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (limiter.allow(client)) count++;
  return count;
}

describe('a rate limit', () => {
  test('lets a burst through, and then one for each interval', () => {
    const { clock, limiter } = limiterOf({ connections: 10, per: 1_000 });
    assert.equal(allowed(limiter, 'a', 20), 10);
    for (let i = 0; i < 30; i++) {
      clock.time += 99;
      assert.equal(limiter.allow('a'), false);
      clock.time += 1;
      assert.equal(allowed(limiter, 'a', 2), 1);
    }
    clock.time += 350;
    assert.equal(allowed(limiter, 'a', 10), 3);
    clock.time += 1_000_000;
    assert.equal(allowed(limiter, 'a', 20), 10, 'a pause saves up a burst and no more');
  });

  test('the burst may be smaller or greater than the rate', () => {
    const small = limiterOf({ connections: 10, per: 1_000, burst: 1 });
    assert.equal(allowed(small.limiter, 'a', 5), 1);
    small.clock.time += 100;
    assert.equal(allowed(small.limiter, 'a', 5), 1);
    const great = limiterOf({ connections: 10, per: 1_000, burst: 50 });
    assert.equal(allowed(great.limiter, 'a', 100), 50);
    great.clock.time += 1_000;
    assert.equal(allowed(great.limiter, 'a', 100), 10);
  });

  test('does not set a client back for what it was refused', () => {
    const { clock, limiter } = limiterOf({ connections: 1, per: 1_000 });
    assert.ok(limiter.allow('a'));
    for (let i = 0; i < 1_000; i++) assert.ok(!limiter.allow('a'));
    clock.time += 1_000;
    assert.ok(limiter.allow('a'));
  });

  test('counts each client by itself', () => {
    const { limiter } = limiterOf({ connections: 3, per: 1_000 });
    assert.equal(allowed(limiter, 'a', 10), 3);
    assert.equal(allowed(limiter, 'b', 10), 3);
    assert.equal(allowed(limiter, 'a', 10), 0);
  });

  test('tells how long to wait, neither more nor less', () => {
    const { clock, limiter } = limiterOf({ connections: 4, per: 1_000, burst: 2 });
    assert.equal(limiter.waitOf('a'), 0);
    allowed(limiter, 'a', 2);
    clock.time += 30;
    const wait = limiter.waitOf('a');
    assert.ok(Math.abs(wait - 220) < 1e-6, String(wait));
    clock.time += wait - 1;
    assert.ok(!limiter.allow('a'));
    clock.time += 1;
    assert.equal(limiter.waitOf('a'), 0);
    assert.ok(limiter.allow('a'));
  });

  test('is a token bucket, for any limits and any times', () => {
    const step = fc.record({ wait: fc.oneof(fc.nat(30), fc.nat(3_000)), client: fc.constantFrom('a', 'b', 'c') });
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 4, 5, 8, 10),
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { maxLength: 200 }),
        (connections, burst, steps) => {
          const { clock, limiter } = limiterOf({ connections, per: 1_000, burst });
          clock.time = Math.floor(clock.time);
          const interval = 1_000 / connections;
          // In milliseconds' worth, which are whole numbers, so that model and limiter can't differ by a rounding.
          const buckets = new Map<string, { worth: number; since: number }>();
          for (const { wait, client } of steps) {
            clock.time += wait;
            const bucket = buckets.get(client) ?? { worth: burst * interval, since: clock.time };
            const worth = Math.min(burst * interval, bucket.worth + clock.time - bucket.since);
            const allows = worth >= interval;
            buckets.set(client, { worth: allows ? worth - interval : worth, since: clock.time });
            assert.equal(limiter.allow(client), allows);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('holds for rates that are no whole number of milliseconds, over a long time', () => {
    const { clock, limiter } = limiterOf({ connections: 3, per: 1_000 });
    const start = clock.time;
    let count = 0;
    while (clock.time < start + 1_000_000) {
      if (limiter.allow('a')) count++;
      clock.time += 7.3;
    }
    assert.ok(count >= 3_000 && count <= 3_003, String(count));
  });

  test('sets no timer', () => {
    const clock = new VirtualClock();
    const limiter = new RateLimiter({ connections: 1, per: 1_000 }, clock);
    for (let i = 0; i < 1_000; i++) limiter.allow(String(i));
    assert.equal(clock.everArmed, 0);
  });

  test('refuses wrong options with ERR_PORTSIDE_OPTIONS, and keeps to the old ones', () => {
    const wrong: unknown[] = [
      {},
      { connections: 0, per: 1 },
      { connections: 1.5, per: 1 },
      { connections: 1, per: 0 },
      { connections: 1, per: Infinity },
      { connections: 1, per: 1, burst: 0 },
      { connections: 1, per: 1, maxTracked: 0 },
    ];
    const { limiter } = limiterOf({ connections: 2, per: 1_000 });
    assert.ok(limiter.allow('a'));
    for (const options of wrong) {
      assert.throws(() => limiter.set(options as RateOptions), { code: 'ERR_PORTSIDE_OPTIONS' });
      assert.throws(() => new RateLimiter(options as RateOptions, new HandClock()), { code: 'ERR_PORTSIDE_OPTIONS' });
    }
    assert.equal(allowed(limiter, 'a', 5), 1);
  });
});

describe('a rate limit whose clock goes back', () => {
  test('lets nobody wait longer than if it had stood still', () => {
    const { clock, limiter } = limiterOf({ connections: 1, per: 1_000 });
    assert.ok(limiter.allow('a'));
    clock.time -= 10_000_000;
    assert.ok(!limiter.allow('a'));
    assert.equal(limiter.waitOf('a'), 1_000);
    clock.time += 1_000;
    assert.ok(limiter.allow('a'));
    assert.ok(limiter.allow('b'));
  });

  test('gives nothing away by going back and forth', () => {
    const { clock, limiter } = limiterOf({ connections: 5, per: 1_000 });
    let count = 0;
    for (let i = 0; i < 100; i++) {
      clock.time += i % 2 === 0 ? -500 : 1;
      if (limiter.allow('a')) count++;
    }
    assert.equal(count, 5);
  });
});

describe('changing a rate limit while it runs', () => {
  test('keeps what a client has used', () => {
    const { clock, limiter } = limiterOf({ connections: 10, per: 1_000 });
    assert.equal(allowed(limiter, 'a', 6), 6);
    limiter.set({ connections: 8, per: 60_000 });
    assert.equal(allowed(limiter, 'a', 10), 2, '6 of 8 were used');
    clock.time += 7_500;
    assert.equal(allowed(limiter, 'a', 10), 1, 'the new interval holds');
    limiter.set({ connections: 3, per: 60_000 });
    assert.equal(allowed(limiter, 'a', 10), 0);
    clock.time += 20_000;
    assert.equal(allowed(limiter, 'a', 10), 1, 'no more than the whole new bucket counts as used');
    limiter.set({ connections: 10, per: 1_000 });
    assert.equal(allowed(limiter, 'a', 10), 7);
  });

  test('leaves no more tracked than may be, and those that have used most', () => {
    const { limiter } = limiterOf({ connections: 10, per: 1_000 });
    for (let i = 0; i < 100; i++) allowed(limiter, `client ${i}`, i < 50 ? 1 : 10);
    limiter.set({ connections: 10, per: 1_000, maxTracked: 50 });
    assert.equal(limiter.tracked, 50);
    for (let i = 50; i < 100; i++) assert.ok(!limiter.allow(`client ${i}`));
  });
});

describe('a rate limit under more clients than it tracks', () => {
  test('tracks no more than it may, and lets in who is new, whatever comes', () => {
    const limits = fc.record({ maxTracked: fc.integer({ min: 1, max: 8 }), burst: fc.integer({ min: 1, max: 4 }) });
    const step = fc.record({ wait: fc.oneof(fc.constant(0), fc.nat(5_000)), client: fc.nat(20) });
    fc.assert(
      fc.property(limits, fc.array(step, { maxLength: 300 }), ({ maxTracked, burst }, steps) => {
        const { clock, limiter } = limiterOf({ connections: 1, per: 1_000, burst, maxTracked });
        const came = new Set<number>();
        for (const { wait, client } of steps) {
          clock.time += wait;
          const allows = limiter.allow(String(client));
          assert.ok(allows || came.has(client), 'a client that never came is let in');
          came.add(client);
          assert.ok(limiter.tracked <= maxTracked);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('forgets those that are full again, a few with each call', () => {
    const { clock, limiter } = limiterOf({ connections: 1, per: 1_000 });
    for (let i = 0; i < 1_000; i++) limiter.allow(`client ${i}`);
    assert.equal(limiter.tracked, 1_000);
    clock.time += 2_000;
    for (let i = 0; i < 500; i++) limiter.allow('other');
    assert.equal(limiter.tracked, 1);
  });

  test('an address that has used up its own is not forgotten for others that came once', () => {
    const { limiter } = limiterOf({ connections: 5, per: 60_000, maxTracked: 100 });
    assert.equal(allowed(limiter, 'greedy', 100), 5);
    for (let i = 0; i < 300; i++) assert.ok(limiter.allow(`other ${i}`));
    assert.equal(allowed(limiter, 'greedy', 100), 0);
    assert.equal(limiter.tracked, 100);
  });

  test('who is not known is let in, even when all that are tracked have used up theirs', () => {
    const { limiter } = limiterOf({ connections: 5, per: 60_000, maxTracked: 100 });
    for (let i = 0; i < 100; i++) allowed(limiter, `attacker ${i}`, 100);
    for (let i = 0; i < 1_000; i++) assert.ok(limiter.allow(`honest ${i}`));
  });

  test('who took the place of one that had used up its own waits for one interval, not for more', () => {
    const { clock, limiter } = limiterOf({ connections: 5, per: 60_000, maxTracked: 100 });
    for (let i = 0; i < 100; i++) allowed(limiter, `attacker ${i}`, 100);
    assert.equal(allowed(limiter, 'honest', 2), 1);
    clock.time += 12_000;
    assert.equal(allowed(limiter, 'honest', 2), 1);
  });

  test('after a pause of any length it is still those nearest to full that make room', () => {
    for (const pause of [600, 999, 1_003, 1_500, 1_999, 2_500, 3_001, 1e13]) {
      const { clock, limiter } = limiterOf({ connections: 5, per: 1_000, maxTracked: 100 });
      for (let i = 0; i < 300; i++) limiter.allow(`before ${i}`);
      clock.time += pause;
      allowed(limiter, 'greedy', 10);
      for (let i = 0; i < 250; i++) limiter.allow(`after ${i}`);
      assert.equal(allowed(limiter, 'greedy', 10), 0, `after ${pause} ms`);
    }
  });

  test('addresses that take turns to have each other forgotten gain nothing by it', () => {
    for (const used of [1, 3, 5]) {
      const { limiter } = limiterOf({ connections: 5, per: 60_000, maxTracked: 100 });
      for (let i = 0; i < 100; i++) allowed(limiter, `attacker ${i}`, used);
      let count = 0;
      for (let i = 0; i < 1_000; i++) count += allowed(limiter, `turn ${i % 2}`, 1);
      assert.ok(count <= 10, `${count} with ${used} used`);
    }
  });

  test('each connection more of one client has to be paid with about as many newcomers as are tracked', () => {
    const { limiter } = limiterOf({ connections: 5, per: 3_600_000, maxTracked: 100 });
    for (let i = 0; i < 100; i++) allowed(limiter, `attacker ${i}`, 5);
    let gained = 0;
    for (let i = 0; i < 10_000; i++) {
      limiter.allow(`newcomer ${i}`);
      gained += allowed(limiter, 'greedy', 1);
    }
    assert.ok(gained <= 10_000 / 99 + 1, String(gained));
  });

  test('a client that comes back after all have forgotten it finds a whole bucket', () => {
    const { clock, limiter } = limiterOf({ connections: 5, per: 1_000, maxTracked: 10 });
    for (let i = 0; i < 100; i++) allowed(limiter, `other ${i}`, 5);
    clock.time += 1_000;
    assert.equal(allowed(limiter, 'other 99', 10), 5);
    assert.equal(allowed(limiter, 'new', 10), 5);
  });
});

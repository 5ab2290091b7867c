import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Histogram, cellsFor } from '../../src/server/histogram.ts';
import { MEASURE_CELLS, Measures } from '../../src/server/measures.ts';
import type { MeasureName } from '../../src/server/measures.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { dial, serveOn, until } from './support.ts';
import { Stage } from './virtual.ts';

describe('a histogram', () => {
  test('has every value in the one bucket whose bound is the first that is not below it', () => {
    const boundsOf = fc.uniqueArray(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 12 });
    const valuesOf = fc.array(fc.oneof(fc.integer({ min: 0, max: 60 }), fc.double({ min: 0, max: 60, noNaN: true })));
    fc.assert(
      fc.property(boundsOf, valuesOf, (unsorted, values) => {
        const bounds = unsorted.toSorted((a, b) => a - b);
        const histogram = new Histogram(bounds);
        for (const value of values) histogram.add(value);
        const { counts, count, sum } = histogram.read();
        const edges = [-Infinity, ...bounds, Infinity];
        const expected = edges.slice(1).map((edge, i) => values.filter((v) => v <= edge && v > edges[i]!).length);
        assert.deepEqual(counts, expected);
        assert.equal(count, values.length);
        assert.equal(
          sum,
          values.reduce((total, value) => total + value, 0),
        );
      }),
    );
  });

  test('keeps to its own cells, and what was read does not change any more', () => {
    const bounds = [1, 2];
    const cells = new Float64Array(cellsFor(bounds) + 2).fill(7);
    cells.fill(0, 1, 1 + cellsFor(bounds));
    const histogram = new Histogram(bounds, cells, 1);
    const before = histogram.read();
    for (const value of [0, 1, 2, 3]) histogram.add(value);
    assert.deepEqual([...cells], [7, 2, 1, 1, 6, 7]);
    assert.deepEqual(before, { bounds, counts: [0, 0, 0], count: 0, sum: 0 });
  });
});

describe('measures', () => {
  test('don’t get in each other’s way, add up, and are seen by whoever has the memory', () => {
    const shared = new SharedArrayBuffer((MEASURE_CELLS + 3) * Float64Array.BYTES_PER_ELEMENT);
    const one = new Measures(new Float64Array(shared), 2);
    const names = Object.keys(one.read()) as MeasureName[];
    for (const [i, name] of names.entries()) for (let n = 0; n <= i; n += 1) one[name].add(1e12 * n);
    const seen = new Measures(new Float64Array(shared), 2).read();
    assert.deepEqual(
      names.map((name) => seen[name].count),
      names.map((_, i) => i + 1),
    );
    const both = new Measures();
    both.add(one);
    both.add(one);
    for (const name of names) {
      const { counts, sum } = both.read()[name];
      assert.deepEqual([counts[0], counts.at(-1), sum], [2, 2 * (seen[name].count - 1), 2 * seen[name].sum]);
    }
    assert.equal(new Float64Array(shared)[0], 0);
    assert.equal(new Float64Array(shared).at(-1), 0);
  });
});

describe('what a server measures', () => {
  test('is how long connections lasted, and what each carried, when they are over', async () => {
    const stage = new Stage();
    const server = await stage.serve({ data: (conn, bytes) => void conn.write(Buffer.concat([bytes, bytes])) });
    const lives: readonly (readonly [ms: number, says: string])[] = [
      [5, 'x'],
      [7_000, 'y'.repeat(100)],
      [100_000_000, ''],
    ];
    for (const [ms, says] of lives) {
      const client = await stage.dial(server);
      if (says !== '') void client.write(says);
      await stage.clock.advance(ms);
      assert.equal(server.status().active, 1);
      client.abort();
      await stage.now(() => client.closed);
      await stage.clock.advance(1);
    }
    const { duration, bytesRead, bytesWritten, handshake } = server.status().measures;
    assert.equal(duration.count, 3);
    // One of them was aborted while nobody read, and noticed a turn later.
    assert.ok(duration.sum >= 100_007_005 && duration.sum <= 100_007_008, `${duration.sum}`);
    assert.equal(duration.counts.at(-1), 1, 'more than a day');
    assert.equal(duration.counts[duration.bounds.indexOf(10_000)], 1);
    assert.deepEqual([bytesRead.count, bytesRead.sum, bytesRead.counts[0]], [3, 101, 1]);
    assert.deepEqual([bytesWritten.sum, bytesWritten.counts[bytesWritten.bounds.indexOf(256)]], [202, 1]);
    assert.equal(handshake.count, 0);
  });
});

onEachNet('the time of handshakes', (net) => {
  test('is measured where there are any that succeed', async () => {
    const tls = serverTls();
    const echo = { data: () => {} };
    const server = await serveOn(net, echo, { tls, listen: ['tls://127.0.0.1:0', 'tcp://127.0.0.1:0'] });
    const clients = [await dial(net, server, { tls: clientTls() }), await dial(net, server, {}, 1)];
    const stranger = await dial(net, server);
    await stranger.write('no TLS at all\r\n\r\n');
    await until(() => server.status().reasons['handshake'] === 1 && server.status().opening === 0);
    stranger.abort();
    const { handshake, queue, dispatch, handOver } = server.status().measures;
    assert.equal(handshake.count, 1);
    assert.ok(handshake.sum > 0 && handshake.sum < 60_000);
    assert.deepEqual([queue.count, dispatch.count, handOver.count], [0, 0, 0]);
    await endAll(...clients);
    await server.stop({ grace: 0 });
    assert.equal(server.status().measures.duration.count, 3);
  });
});

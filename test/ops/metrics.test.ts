import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { catalog } from '../../src/ops/metrics-catalog.ts';
import { metricsOf, prometheusName } from '../../src/ops/metrics.ts';
import type { Metrics } from '../../src/ops/metrics.ts';
import { subjectOf } from '../../src/ops/subject.ts';
import type { Subject, SubjectStatus } from '../../src/ops/subject.ts';
import { Measures } from '../../src/server/measures.ts';
import { refusalKinds } from '../../src/server/refusal.ts';
import type { RefusalKind } from '../../src/server/refusal.ts';
import { Scope } from '../../src/sync/scope.ts';
import { endAll } from '../support/nets.ts';
import { inCheckout } from '../support/program.ts';
import { atEnd, endsItsStands, eventually, onEachKind, say, standOne, standTwo } from './admin-support.ts';
import type { Stand } from './admin-support.ts';
import { Scraped, promtool, withoutPrometheus } from './metrics-support.ts';

endsItsStands();

const direction = (name: string): Record<string, string> => ({ network_io_direction: name });

/** Metrics of a stand's server, in the place of those of its endpoint. */
function metricsFor({ server }: Stand, name = 'echo.ts'): Metrics {
  const metrics = metricsOf(subjectOf(server, { name }));
  atEnd(() => metrics.close());
  return metrics;
}

/** A server whose status is another one. */
function seenAs(subject: Subject, other: (status: SubjectStatus) => SubjectStatus): Subject {
  return new Proxy(subject, {
    get: (target, name) => {
      if (name === 'status') return () => other(target.status());
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
}

async function scrape(metrics: Metrics): Promise<Scraped> {
  return new Scraped(await metrics.text());
}

onEachKind('the metrics of a server', (stand, parallel) => {
  test('are what its status says, in every number', async () => {
    const one = await stand();
    const metrics = metricsFor(one);
    const clients = [await one.dial(), await one.dial(), await one.dial()];
    for (const client of clients) assert.equal(await say(client, 'hello'), 'hello');
    await clients[0]!.write('fail\n');
    await clients[1]!.close();
    const { server } = one;
    const said = 3 * 'hello\n'.length;
    await eventually(() => {
      const { active, bytesRead, bytesWritten, errors } = server.status();
      return active === 1 && errors === 1 && bytesRead === said + 'fail\n'.length && bytesWritten === said;
    });
    const found = await scrape(metrics);
    const { accepted, reasons, measures, uptime } = server.status();
    assert.equal(found.value('portside_connection_accepted_total'), accepted);
    assert.equal(found.value('portside_connection_active'), 1);
    assert.equal(found.sum('portside_connection_closed_total'), 2);
    for (const [reason, count] of Object.entries(reasons))
      assert.equal(found.value('portside_connection_closed_total', { portside_reason: reason }), count);
    assert.equal(found.value('portside_network_io_bytes_total', direction('receive')), said + 'fail\n'.length);
    assert.equal(found.value('portside_network_io_bytes_total', direction('transmit')), said);
    assert.equal(found.value('portside_handler_errors_total'), 1);
    assert.equal(found.value('portside_connection_limit'), server.status().maxConnections);
    assert.equal(found.value('portside_ready'), 1);
    assert.equal(found.value('portside_state', { portside_state: 'running' }), 1);
    assert.equal(found.sum('portside_state'), 1);
    assert.equal(found.value('portside_info', { portside_name: 'echo.ts' }), 1);
    assert.ok(found.value('portside_uptime_seconds') <= uptime / 1_000);
    for (const reason of refusalKinds)
      assert.equal(found.value('portside_connection_refused_total', { portside_reason: reason }), 0);
    const { duration, bytesRead } = measures;
    assert.equal(found.value('portside_connection_duration_seconds_count'), 2);
    assert.equal(found.value('portside_connection_duration_seconds_sum'), duration.sum / 1_000);
    // Buckets have those below them.
    for (let i = 0, total = 0; i < duration.counts.length; i += 1) {
      total += duration.counts[i]!;
      const le = i < duration.bounds.length ? String(duration.bounds[i]! / 1_000) : '+Inf';
      assert.equal(found.value('portside_connection_duration_seconds_bucket', { le }), total, le);
    }
    assert.equal(found.value('portside_connection_io_size_bytes_sum', direction('receive')), bytesRead.sum);
    assert.equal(found.value('portside_connection_dispatch_duration_seconds_count'), parallel ? 3 : 0);
    assert.equal(found.value('portside_worker_running'), parallel ? 2 : 0);
    assert.equal(found.sum('portside_worker_connections'), parallel ? 1 : 0);
    assert.ok(found.sum('process_cpu_time_seconds_total') > 0 && found.value('process_memory_usage_bytes') > 1e6);
    assert.ok(found.value('portside_thread_heap_used_bytes', { thread_name: 'main' }) > 1e5);
    await endAll(...clients);
  });

  test('tell how far its end has come', async () => {
    const one = await stand();
    const metrics = metricsFor(one);
    const before = await scrape(metrics);
    assert.equal(before.sum('portside_drain_closed_total'), 0);
    assert.equal(before.samples.filter(({ name }) => name === 'portside_drain_elapsed_seconds').length, 0);
    const [busy, idle] = [await one.dial(), await one.dial()];
    assert.equal(await say(idle, 'hello'), 'hello');
    await busy.write('draining\n');
    assert.ok((await busy.readLine()) !== null);
    const over = one.server.drain({ lead: 0, spread: 0, grace: 60_000 });
    while ((await idle.read()) !== null);
    await idle.close();
    const during = await (async () => {
      for (;;) {
        const found = await scrape(metrics);
        if (found.value('portside_drain_closed_total', { portside_ending: 'idle' }) === 1) return found;
        await new Promise(setImmediate);
      }
    })();
    assert.equal(during.value('portside_drain_connections'), 1);
    assert.equal(during.value('portside_state', { portside_state: 'draining' }), 1);
    assert.equal(during.value('portside_ready'), 0);
    assert.ok(during.value('portside_drain_left_seconds') <= 60);
    assert.ok(during.value('portside_drain_elapsed_seconds') > 0);
    void one.server.stop({ grace: 0 });
    await endAll(busy);
    await over;
    const after = await scrape(metrics);
    assert.equal(after.sum('portside_drain_closed_total'), 2);
    assert.equal(after.value('portside_drain_connections'), 0);
    assert.equal(after.value('portside_state', { portside_state: 'stopped' }), 1);
  });

  test('are such as promtool finds nothing wrong with', { skip: withoutPrometheus() }, async () => {
    const one = await stand();
    const client = await one.dial();
    await say(client, 'hello');
    await endAll(client);
    assert.equal(promtool(await metricsFor(one, 'a "strange"\\ name\nof two lines').text()), '');
  });
});

describe('metrics', () => {
  test('are answered by the admin endpoint, as what they are', async () => {
    const metrics = {
      metrics: null as Metrics | null,
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      text: () => metrics.metrics!.text(),
    };
    const one = await standOne({}, { metrics });
    metrics.metrics = metricsFor(one);
    const { status, headers, text } = await one.ask('/metrics');
    assert.deepEqual([status, headers['content-type']], [200, metrics.metrics.contentType]);
    const { PROMETHEUS_CONTENT_TYPE } = (await import('prom-client')).Registry;
    assert.equal(metrics.metrics.contentType, PROMETHEUS_CONTENT_TYPE);
    assert.equal(new Scraped(text).value('portside_connection_accepted_total'), 0);
  });

  test('of one text are of one moment, and are written once for all who ask at a time', async () => {
    const { server } = await standOne();
    let looks = 0;
    const metrics = metricsOf(
      seenAs(subjectOf(server), (status) => {
        looks += 1;
        return status;
      }),
    );
    atEnd(() => metrics.close());
    const texts = await Promise.all(Array.from({ length: 5_000 }, () => metrics.text()));
    assert.equal(looks, 1);
    assert.equal(new Set(texts).size, 1);
    assert.notEqual(await metrics.text(), texts[0]);
    assert.equal(looks, 2);
  });

  test('have each its own number', async () => {
    const { server } = await standTwo();
    const measures = new Measures();
    const reasons = { ended: 31, reset: 32 };
    const refused = Object.fromEntries(refusalKinds.map((kind, i) => [kind, 41 + i])) as Record<RefusalKind, number>;
    const histograms = [
      ['duration', 'duration_seconds', 1_000],
      ['bytesRead', 'io_size_bytes', 1],
      ['handshake', 'handshake_duration_seconds', 1_000],
      ['queue', 'queue_duration_seconds', 1_000],
      ['dispatch', 'dispatch_duration_seconds', 1_000],
      ['handOver', 'handover_duration_seconds', 1_000],
    ] as const;
    for (const [i, [name]] of histograms.entries()) measures[name].add(i + 1);
    measures.bytesWritten.add(70);
    const numbers = {
      portside_uptime_seconds: 0.001,
      portside_connection_accepted_total: 2,
      portside_connection_detached_total: 3,
      portside_connection_handed_over_total: 4,
      portside_connection_active: 5,
      portside_connection_queued: 6,
      portside_connection_limit: 7,
      portside_handler_errors_total: 8,
      portside_accept_errors_total: 9,
      portside_worker_running: 2,
      portside_worker_restarts_total: 10,
      portside_drain_elapsed_seconds: 0.011,
      portside_drain_left_seconds: 0.012,
      portside_drain_connections: 5,
    };
    const metrics = metricsOf(
      seenAs(subjectOf(server), ({ workers, ...status }) => ({
        ...status,
        uptime: 1,
        accepted: 2,
        detached: 3,
        handedOver: 4,
        active: 5,
        queued: 6,
        maxConnections: 7,
        errors: 8,
        troubles: 9,
        restarts: 10,
        ending: { since: 11, left: 12 },
        bytesRead: 13,
        bytesWritten: 14,
        measures: measures.read(),
        workers: workers.map((worker, i) => ({ ...worker, connections: 20 + i, heap: 30 + i })),
        reasons,
        refused,
      })),
    );
    atEnd(() => metrics.close());
    const found = await scrape(metrics);
    for (const [name, value] of Object.entries(numbers)) assert.equal(found.value(name), value, name);
    for (const [name, value] of Object.entries({ receive: 13, transmit: 14 }))
      assert.equal(found.value('portside_network_io_bytes_total', direction(name)), value);
    for (const [reason, value] of Object.entries(reasons))
      assert.equal(found.value('portside_connection_closed_total', { portside_reason: reason }), value);
    for (const [reason, value] of Object.entries(refused))
      assert.equal(found.value('portside_connection_refused_total', { portside_reason: reason }), value);
    for (const [i, [name, plain, per]] of histograms.entries())
      assert.equal(
        found.value(`portside_connection_${plain}_sum`, name === 'bytesRead' ? direction('receive') : {}),
        (i + 1) / per,
      );
    assert.equal(found.value('portside_connection_io_size_bytes_sum', direction('transmit')), 70);
    for (const i of [0, 1]) {
      const thread = { thread_name: `portside ${i}` };
      assert.equal(found.value('portside_worker_connections', thread), 20 + i);
      assert.equal(found.value('portside_thread_heap_used_bytes', thread), 30 + i);
    }
  });

  test('cost nothing before they are asked for, and watch no more when they are closed, as their scope does', async () => {
    const one = await standOne();
    const before = one.server.listenerCount('state');
    const scope = new Scope({ parent: null });
    const metrics = scope.run(() => metricsOf(subjectOf(one.server)));
    assert.equal(one.server.listenerCount('state'), before + 1);
    await metrics.text();
    await scope.close();
    assert.equal(one.server.listenerCount('state'), before);
    await metrics.close();
    const late = await metrics.text();
    assert.match(late, /^portside_ready 1$/mu);
    assert.doesNotMatch(late, /^nodejs_eventloop_delay_/mu);
  });

  test('have the loops of all threads, workers by their index', async () => {
    const one = await standTwo();
    const metrics = metricsFor(one);
    for (;;) {
      const found = await scrape(metrics);
      const late = found.samples.filter(({ name }) => name === 'nodejs_eventloop_delay_p99_seconds');
      if (late.length < 3) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const names = late.map(({ labels }) => labels['thread_name']);
      assert.deepEqual(new Set(names), new Set(['main', 'portside 0', 'portside 1']));
      const busy = found.samples.filter(({ name }) => name === 'nodejs_eventloop_utilization_ratio');
      assert.ok(busy.length === 3 && busy.every(({ value }) => value >= 0 && value <= 1));
      return;
    }
  });
});

describe('docs/reference/metrics.md', () => {
  const page = readFileSync(inCheckout('docs/reference/metrics.md'), 'utf8');
  const rows = page.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    const [, name = '', otel = '', kind = '', unit = '', attributes = ''] = cells;
    const plain = /^`([a-z_0-9]+)`$/u.exec(name)?.[1];
    if (plain === undefined || cells.length !== 8) return [];
    const labels = [...attributes.matchAll(/`([a-z_.]+)`/gu)].map(([, label]) => label!.replaceAll('.', '_'));
    return [{ plain, otel: otel.replaceAll('`', ''), kind, unit, labels }];
  });
  const byName = (a: { readonly plain: string }, b: { readonly plain: string }): number => (a.plain < b.plain ? -1 : 1);

  test('has every metric, with its type, unit and attributes, and no other', async () => {
    const one = await standTwo();
    const client = await one.dial();
    await say(client, 'draining');
    void one.server.drain({ lead: 0, spread: 0, grace: 60_000 });
    const metrics = metricsFor(one);
    const text = await metrics.text();
    const found = new Scraped(text);
    const kinds = { counter: 'counter', sum: 'gauge, adds up', gauge: 'gauge', histogram: 'histogram' };
    assert.deepEqual(
      rows.map(({ labels: _, ...row }) => row).toSorted(byName),
      catalog
        .map((metric) => ({
          plain: prometheusName(metric),
          otel: metric.name,
          kind: kinds[metric.kind],
          unit: metric.unit === '' ? '' : `\`${metric.unit}\``,
        }))
        .toSorted(byName),
    );
    for (const { plain, labels } of rows) {
      const given = new Set(
        found.samples
          .filter(({ name }) => name === plain || name === `${plain}_bucket`)
          .flatMap((sample) => Object.keys(sample.labels))
          .filter((label) => label !== 'le'),
      );
      if (found.samples.some(({ name }) => name.startsWith(plain)))
        assert.deepEqual(labels.toSorted(), [...given].toSorted(), plain);
    }
    assert.deepEqual([...found.types.keys()].toSorted(), rows.map(({ plain }) => plain).toSorted());
    void one.server.stop({ grace: 0 });
    await endAll(client);
  });

  test('has every reason, kind, state and ending that there is', async () => {
    const one = await standOne();
    const found = await scrape(metricsFor(one));
    for (const { labels } of found.samples) {
      for (const label of ['portside_reason', 'portside_state', 'portside_ending', 'cpu_mode', 'network_io_direction'])
        if (labels[label] !== undefined) assert.ok(page.includes(`\`${labels[label]}\``), labels[label]);
    }
  });
});

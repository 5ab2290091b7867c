import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { metrics as api } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import type { DataPoint, MetricData } from '@opentelemetry/sdk-metrics';
import { catalog } from '../../src/ops/metrics-catalog.ts';
import { openTelemetryMetrics } from '../../src/ops/metrics-otel.ts';
import type { OpenTelemetryOptions } from '../../src/ops/metrics-otel.ts';
import { subjectOf } from '../../src/ops/subject.ts';
import { Scope } from '../../src/sync/scope.ts';
import { endAll } from '../support/nets.ts';
import { refusal } from '../support/refusal.ts';
import { atEnd, endsItsStands, eventually, onEachKind, say, standOne } from './admin-support.ts';
import type { Stand } from './admin-support.ts';

endsItsStands();

/** Whose values are asked for by the test. */
class OnDemand extends MetricReader {
  constructor() {
    super({ aggregationTemporalitySelector: () => AggregationTemporality.CUMULATIVE });
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }

  /** What is told now, by name. */
  async ask(): Promise<Map<string, MetricData>> {
    const { resourceMetrics, errors } = await this.collect();
    assert.deepEqual(errors, []);
    const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
    return new Map(all.map((one) => [one.descriptor.name, one]));
  }
}

function newReader(): { readonly reader: OnDemand; readonly provider: MeterProvider } {
  const reader = new OnDemand();
  const provider = new MeterProvider({ readers: [reader] });
  atEnd(() => provider.shutdown());
  return { reader, provider };
}

async function toldOf({ server }: Stand, options: OpenTelemetryOptions = {}): Promise<OnDemand> {
  const { reader, provider } = newReader();
  const told = await openTelemetryMetrics(subjectOf(server), { meter: provider.getMeter('test'), ...options });
  atEnd(() => told.close());
  return reader;
}

function pointsOf(told: Map<string, MetricData>, name: string): readonly DataPoint<number>[] {
  const data = told.get(name);
  assert.ok(data !== undefined, name);
  return data.dataPoints as DataPoint<number>[];
}

function valueOf(told: Map<string, MetricData>, name: string, attributes: Record<string, string> = {}): number {
  const found = pointsOf(told, name).filter((point) =>
    Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
  );
  assert.equal(found.length, 1, name);
  return found[0]!.value;
}

onEachKind('OpenTelemetry', (stand) => {
  test('is told of everything by its name, unit and kind', async () => {
    const one = await stand();
    const reader = await toldOf(one);
    const client = await one.dial();
    assert.equal(await say(client, 'hello'), 'hello');
    await endAll(client);
    await eventually(() => one.server.status().measures.duration.count === 1);
    const told = await reader.ask();
    for (const metric of catalog) {
      if (metric.kind === 'histogram') {
        for (const suffix of ['count', 'sum', 'bucket']) {
          const part: MetricData = told.get(`${metric.name}.${suffix}`)!;
          assert.equal(part.dataPointType, DataPointType.SUM);
          assert.equal(part.descriptor.unit, suffix === 'sum' ? metric.unit : '{connection}');
        }
        continue;
      }
      const data: MetricData | undefined = told.get(metric.name);
      // Those of which there is nothing to tell.
      if (data === undefined) continue;
      assert.deepEqual(data.descriptor.unit, metric.unit);
      assert.equal(data.descriptor.description, metric.help);
      assert.equal(data.dataPointType, metric.kind === 'gauge' ? DataPointType.GAUGE : DataPointType.SUM, metric.name);
      if (data.dataPointType === DataPointType.SUM) assert.equal(data.isMonotonic, metric.kind === 'counter');
    }
    const { reasons, measures } = one.server.status();
    assert.equal(valueOf(told, 'portside.connection.accepted'), 1);
    for (const [reason, count] of Object.entries(reasons))
      assert.equal(valueOf(told, 'portside.connection.closed', { 'portside.reason': reason }), count);
    assert.equal(valueOf(told, 'portside.connection.duration.count'), 1);
    assert.equal(valueOf(told, 'portside.connection.duration.sum'), measures.duration.sum / 1_000);
    assert.equal(valueOf(told, 'portside.connection.duration.bucket', { le: '+Inf' }), 1);
    const buckets = pointsOf(told, 'portside.connection.duration.bucket');
    assert.equal(buckets.length, measures.duration.counts.length);
    assert.ok(buckets.every(({ value }, i) => i === 0 || value >= buckets[i - 1]!.value));
  });
});

describe('OpenTelemetry', () => {
  test('tells servers apart by further attributes, and hears no more of those that are closed', async () => {
    const { reader, provider } = newReader();
    const meter = provider.getMeter('test');
    const one = await standOne();
    const two = await standOne();
    const first = await openTelemetryMetrics(subjectOf(one.server), { meter, attributes: { server: 'one' } });
    const scope = new Scope({ parent: null });
    await scope.run(() => openTelemetryMetrics(subjectOf(two.server), { meter, attributes: { server: 'two' } }));
    const client = await two.dial();
    assert.equal(await say(client, 'hello'), 'hello');
    const told = await reader.ask();
    assert.equal(valueOf(told, 'portside.connection.accepted', { server: 'one' }), 0);
    assert.equal(valueOf(told, 'portside.connection.accepted', { server: 'two' }), 1);
    const listeners = one.server.listenerCount('state');
    await first.close();
    await first.close();
    assert.equal(one.server.listenerCount('state'), listeners - 1);
    await scope.close();
    assert.equal(await say(await two.dial(), 'hello'), 'hello');
    // What the SDK has heard before it tells for ever.
    assert.equal(valueOf(await reader.ask(), 'portside.connection.accepted', { server: 'two' }), 1);
    await endAll(client);
  });

  test('has the meter of the global provider where none is given', async () => {
    const { reader, provider } = newReader();
    api.setGlobalMeterProvider(provider);
    after(() => api.disable());
    const one = await standOne();
    const told = await openTelemetryMetrics(subjectOf(one.server));
    atEnd(() => told.close());
    assert.equal(valueOf(await reader.ask(), 'portside.ready'), 1);
  });

  test('takes no other options', async () => {
    const one = await standOne();
    const wrong = { meter: {} as never, attributes: { a: 1 as never } };
    const error = await refusal(openTelemetryMetrics(subjectOf(one.server), wrong));
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    assert.match(error.message, /options\.meter must be a Meter.*options\.attributes\.a must be/u);
  });
});

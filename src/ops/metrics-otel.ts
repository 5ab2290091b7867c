import { PortsideError } from '../base/errors.ts';
import { check, record, string, table, that } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import { bucketsOf, catalog } from './metrics-catalog.ts';
import type { HistogramMetric, MetricAttributes, NumberMetric } from './metrics-catalog.ts';
import { MetricsLooker } from './metrics-look.ts';
import type { MetricsLook } from './metrics-look.ts';
import type { Subject } from './subject.ts';

/** What OpenTelemetry knows of an instrument. */
export interface InstrumentOptions {
  readonly description: string;
  readonly unit: string;
}

/** An instrument whose values are asked for. */
export interface ObservableInstrument {
  addCallback(callback: (result: { observe(value: number, attributes?: Record<string, string>): void }) => void): void;
}

/** Where values are told when they are asked for. */
export interface ObservableBatch {
  observe(instrument: ObservableInstrument, value: number, attributes?: Record<string, string>): void;
}

/** What is needed of a `Meter` of `@opentelemetry/api`, which every one has. */
export interface MeterLike {
  createObservableCounter(name: string, options: InstrumentOptions): ObservableInstrument;
  createObservableUpDownCounter(name: string, options: InstrumentOptions): ObservableInstrument;
  createObservableGauge(name: string, options: InstrumentOptions): ObservableInstrument;
  addBatchObservableCallback(callback: (batch: ObservableBatch) => void, instruments: ObservableInstrument[]): void;
  removeBatchObservableCallback(callback: (batch: ObservableBatch) => void, instruments: ObservableInstrument[]): void;
}

/** Options of {@link openTelemetryMetrics}. */
export interface OpenTelemetryOptions {
  /** Whose instruments they are. @default that of the global meter provider, by the name `portside` */
  meter?: MeterLike | undefined;
  /** Further attributes of every value: what tells several servers of one process apart. @default none */
  attributes?: Readonly<Record<string, string>> | undefined;
}

/** The metrics of a server in OpenTelemetry, until they are closed. Made by {@link openTelemetryMetrics}. */
export interface OpenTelemetryMetrics extends AsyncDisposable {
  /** Tells no more. Idempotent. */
  close(): Promise<void>;
}

const optionsTable: Table<OpenTelemetryOptions> = table('openTelemetryMetrics', {
  meter: that<MeterLike>(
    'a Meter of @opentelemetry/api',
    (value) => typeof (value as Partial<MeterLike> | null)?.addBatchObservableCallback === 'function',
  ),
  attributes: record(string()),
});

/** How the values of one metric are told. */
type Tell = (look: MetricsLook, batch: ObservableBatch, common: MetricAttributes) => void;

/**
 * Has OpenTelemetry told of the metrics of a server, by the names of docs/reference/metrics.md, as often as whoever exports them asks. As nobody can be asked for a histogram there, each
 * is three counters: its name with `.count`, `.sum`, and `.bucket`, whose values have the attribute `le` and add up as in Prometheus. Belongs to the scope that is current now.
 *
 * `@opentelemetry/api` is loaded only here, and only where no meter is given. Rejects with ERR_PORTSIDE_UNSUPPORTED when it is not installed, and with ERR_PORTSIDE_OPTIONS with all that is
 * wrong with the options.
 */
export async function openTelemetryMetrics(
  subject: Subject,
  options?: OpenTelemetryOptions,
): Promise<OpenTelemetryMetrics> {
  const { meter: given, attributes: common = {} }: OpenTelemetryOptions = check(optionsTable, options);
  const meter = given ?? (await globalMeter());
  const instruments: ObservableInstrument[] = [];
  const tells = catalog.map((metric) =>
    metric.kind === 'histogram' ? histogramOf(meter, metric, instruments) : numberOf(meter, metric, instruments),
  );
  const tellAll = (batch: ObservableBatch): void => {
    const look = looker.look();
    for (const tell of tells) tell(look, batch, common);
  };
  const looker = new MetricsLooker('OpenTelemetry metrics', subject, () =>
    meter.removeBatchObservableCallback(tellAll, instruments),
  );
  meter.addBatchObservableCallback(tellAll, instruments);
  return {
    close: () => looker[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => looker[Symbol.asyncDispose](),
  };
}

async function globalMeter(): Promise<MeterLike> {
  try {
    const { metrics } = await import('@opentelemetry/api');
    return metrics.getMeter('portside');
  } catch (cause) {
    throw new PortsideError(
      'ERR_PORTSIDE_UNSUPPORTED',
      'OpenTelemetry needs the package @opentelemetry/api, which can’t be loaded: npm install @opentelemetry/api',
      { op: 'openTelemetryMetrics', cause },
    );
  }
}

function numberOf(meter: MeterLike, metric: NumberMetric, instruments: ObservableInstrument[]): Tell {
  const { name, kind, unit, help: description, points } = metric;
  const options = { description, unit };
  const instrument =
    kind === 'counter'
      ? meter.createObservableCounter(name, options)
      : kind === 'sum'
        ? meter.createObservableUpDownCounter(name, options)
        : meter.createObservableGauge(name, options);
  instruments.push(instrument);
  return (look, batch, common) => {
    for (const { value, attributes } of points(look)) batch.observe(instrument, value, { ...common, ...attributes });
  };
}

function histogramOf(meter: MeterLike, metric: HistogramMetric, instruments: ObservableInstrument[]): Tell {
  const { name, unit, help, per, distributions } = metric;
  const counter = (suffix: string, what: string, of: string): ObservableInstrument =>
    meter.createObservableCounter(`${name}.${suffix}`, { description: `${help}: ${what}`, unit: of });
  const count = counter('count', 'how many', '{connection}');
  const sum = counter('sum', 'all together', unit);
  const bucket = counter('bucket', 'how many up to le', '{connection}');
  instruments.push(count, sum, bucket);
  return (look, batch, common) => {
    for (const { histogram, attributes } of distributions(look)) {
      const all = { ...common, ...attributes };
      batch.observe(count, histogram.count, all);
      batch.observe(sum, histogram.sum / per, all);
      for (const { le, count: upTo } of bucketsOf(histogram, metric)) batch.observe(bucket, upTo, { ...all, le });
    }
  };
}

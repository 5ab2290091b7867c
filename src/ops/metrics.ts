import type { Metric as PromMetric } from 'prom-client';
import { bucketsOf, catalog } from './metrics-catalog.ts';
import type { HistogramMetric, Metric, MetricAttributes, MetricDistribution } from './metrics-catalog.ts';
import { MetricsLooker } from './metrics-look.ts';
import type { MetricsLook } from './metrics-look.ts';
import type { Subject } from './subject.ts';

/** The metrics of a server as text for Prometheus. Made by {@link metricsOf}. */
export interface Metrics extends AsyncDisposable {
  /** What the text is, for the header `content-type`. */
  readonly contentType: string;
  /** The metrics as they are now. Whoever asks while they are being written gets the same text. */
  text(): Promise<string>;
  /** Ends what watches the event loop for them. They can still be asked for. */
  close(): Promise<void>;
}

/** One line of a metric, as the formatter has it. */
interface Line {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly metricName?: string;
}

interface Registry {
  metrics(): Promise<string>;
}

/**
 * The metrics of a server in Prometheus' text format: everything that is counted, exactly, of all workers, those too that are gone. See docs/reference/metrics.md for every name. Give it to
 * `startAdmin` as `metrics`, or answer with it where you like. Belongs to the scope that is current now.
 */
export function metricsOf(subject: Subject): Metrics {
  const looker = new MetricsLooker('metrics', subject);
  let now: MetricsLook | null = null;
  let registry: Promise<Registry> | null = null;
  let running: Promise<string> | null = null;
  const write = async (): Promise<string> => {
    registry ??= registryOf(() => (now ??= looker.look()));
    const ready = await registry;
    // All are of one moment.
    now = null;
    return ready.metrics();
  };
  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    text: () => {
      running ??= write().finally(() => {
        running = null;
      });
      return running;
    },
    close: () => looker[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => looker[Symbol.asyncDispose](),
  };
}

/** The name of a metric in Prometheus, by the rules of OpenTelemetry for it. */
export function prometheusName({ name, unit, kind }: Pick<Metric, 'name' | 'unit' | 'kind'>): string {
  const suffix = unit === 's' ? '_seconds' : unit === 'By' ? '_bytes' : unit === '1' ? '_ratio' : '';
  return `${underscored(name)}${suffix}${kind === 'counter' ? '_total' : ''}`;
}

/** Loaded when metrics are first asked for. */
async function registryOf(look: () => MetricsLook): Promise<Registry> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  for (const metric of catalog) {
    const name = prometheusName(metric);
    const head = { name, help: metric.help, type: metric.kind === 'sum' ? 'gauge' : metric.kind };
    // Nothing is counted twice: the values are asked for when they are written.
    const custom = { ...head, get: () => Promise.resolve({ ...head, values: linesOf(metric, name, look()) }) };
    registry.registerMetric(custom as unknown as PromMetric);
  }
  return registry;
}

function linesOf(metric: Metric, name: string, look: MetricsLook): readonly Line[] {
  if (metric.kind === 'histogram')
    return metric.distributions(look).flatMap((one) => histogramLines(metric, name, one));
  return metric.points(look).map(({ value, attributes }) => ({ value, labels: labelsOf(attributes) }));
}

function histogramLines(metric: HistogramMetric, name: string, one: MetricDistribution): readonly Line[] {
  const { histogram } = one;
  const labels = labelsOf(one.attributes);
  const buckets = bucketsOf(histogram, metric).map(({ le, count }): Line => ({
    value: count,
    labels: { ...labels, le },
    metricName: `${name}_bucket`,
  }));
  return [
    ...buckets,
    { value: histogram.sum / metric.per, labels, metricName: `${name}_sum` },
    { value: histogram.count, labels, metricName: `${name}_count` },
  ];
}

function labelsOf(attributes: MetricAttributes): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [underscored(name), value]));
}

function underscored(name: string): string {
  return name.replaceAll('.', '_');
}

import { Chart, forgetColours } from './chart.ts';
import type { ChartPlan, Columns, Line } from './chart.ts';
import { byId } from './dom.ts';
import { bytesText, countText, delayText, rateText, shareText } from './format.ts';
import type { Sample, Samples } from './samples.ts';

/** How often what a chart shows is put in words, in shows. */
const SELDOM = 10;

/** Kinds of refusals, each with its colour. */
export const refusalColours: Readonly<Record<string, string>> = {
  full: '--red',
  rate: '--amber',
  'client-full': '--violet',
  denied: '--pink',
  'not-allowed': '--brown',
  'handshakes-full': '--teal',
  proxy: '--olive',
  stopping: '--grey',
};
const kinds = Object.keys(refusalColours);

type Read = (sample: Sample, parallel: boolean) => number | null;

const plans: readonly (ChartPlan & { readonly reads: readonly Read[] })[] = [
  {
    id: 'connections',
    title: 'Connections',
    lines: [{ label: 'open', colour: '--blue', filled: true }],
    reads: [({ active }) => active],
    text: (value) => countText(Math.round(value)),
    least: 4,
  },
  {
    id: 'admission',
    title: 'Accepted and refused, per second',
    lines: [
      { label: 'accepted', colour: '--green', filled: true },
      ...kinds.map((kind): Line => ({ label: kind, colour: refusalColours[kind] ?? '--red', seldom: true })),
    ],
    reads: [
      ({ accepted }) => accepted,
      ...kinds.map(
        (kind): Read =>
          ({ active, refused }) =>
            active === null ? null : (refused[kind] ?? 0),
      ),
    ],
    text: rateText,
    least: 1,
  },
  {
    id: 'traffic',
    title: 'Bytes per second',
    lines: [
      { label: 'in', colour: '--blue', filled: true },
      { label: 'out', colour: '--violet', dashed: true },
    ],
    reads: [({ bytesRead }) => bytesRead, ({ bytesWritten }) => bytesWritten],
    text: bytesText,
    least: 100,
  },
  {
    id: 'delay',
    title: 'Event-loop delay, worst of each second',
    lines: [{ label: 'main thread', colour: '--amber', filled: true }],
    reads: [({ delay }) => delay],
    text: delayText,
    least: 2,
  },
  {
    id: 'load',
    title: 'Load',
    lines: [
      { label: 'CPU', colour: '--blue' },
      { label: 'main thread', colour: '--teal' },
      { label: 'busiest worker', colour: '--amber', seldom: true },
    ],
    reads: [({ cpu }) => cpu, ({ utilization }) => utilization, ({ busiest }, parallel) => (parallel ? busiest : null)],
    text: shareText,
    least: 0.1,
  },
  {
    id: 'memory',
    title: 'Memory',
    lines: [
      { label: 'process', colour: '--violet', filled: true },
      { label: 'heap in use', colour: '--teal' },
    ],
    reads: [({ rss }) => rss, ({ heapUsed }) => heapUsed],
    text: bytesText,
    least: 1e6,
  },
];

/** The charts of the last minutes. */
export class Charts {
  readonly #charts: readonly { readonly chart: Chart; readonly reads: readonly Read[] }[];
  #range = 300;
  #shows = 0;
  /** There are workers beside the main thread. */
  parallel = false;

  constructor() {
    this.#charts = plans.map(({ reads, ...plan }) => ({ chart: new Chart(plan), reads }));
    byId('charts').append(...this.#charts.map(({ chart }) => chart.element));
  }

  /** Shows that many seconds from now on. */
  reach(seconds: number): void {
    this.#range = seconds;
    this.#shows = 0;
  }

  show(samples: Samples): void {
    const { latest } = samples;
    if (latest === null) return;
    const shown = samples.all.filter(({ at }) => at >= latest.at - this.#range - 2);
    const at = shown.map((sample) => sample.at);
    const empty = at.map(() => null);
    for (const { chart, reads } of this.#charts) {
      const lines = reads.map((read) => shown.map((sample) => read(sample, this.parallel)));
      const columns: Columns = [at, ...lines.map((line, index) => (chart.isShown(index, line) ? line : empty))];
      chart.show(columns, this.#range);
      if (this.#shows % SELDOM === 0) chart.describe();
    }
    this.#shows += 1;
  }

  /** The colours are other ones now. */
  repaint(): void {
    forgetColours();
    for (const { chart } of this.#charts) chart.repaint();
  }
}

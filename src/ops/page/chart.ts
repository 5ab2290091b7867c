import type Plot from 'uplot';
import { make, show, write } from './dom.ts';
import { clockText } from './format.ts';

/** Pixels. */
const HEIGHT = 148;

/** One line of a chart. */
export interface Line {
  readonly label: string;
  /** The name of a colour of the page: `--blue`. */
  readonly colour: string;
  /** Filled to the ground. */
  readonly filled?: boolean;
  /** What it lies upon is seen through it. */
  readonly dashed?: boolean;
  /** Only while there is anything but zero. */
  readonly seldom?: boolean;
}

/** What a chart shows. */
export interface ChartPlan {
  readonly id: string;
  readonly title: string;
  readonly lines: readonly Line[];
  /** A value in words, and one at the axis. */
  readonly text: (value: number) => string;
  /** The axis reaches this far at least. */
  readonly least: number;
}

/** A column of numbers for each line, and one of seconds before them. */
export type Columns = readonly [at: readonly number[], ...lines: (readonly (number | null)[])[]];

/** A line chart over the last minutes with a legend that tells the values at the pointer, or the latest. */
export class Chart {
  readonly element: HTMLElement;
  readonly #plan: ChartPlan;
  readonly #place: HTMLElement;
  readonly #keys: readonly { readonly item: HTMLElement; readonly value: HTMLElement }[];
  readonly #plot: Plot;
  #columns: Columns = [[]];
  #range = 300;

  constructor(plan: ChartPlan) {
    this.#plan = plan;
    this.#keys = plan.lines.map(({ label, colour }) => {
      const value = make('span', { class: 'value' });
      const key = make('i', { class: 'key', 'aria-hidden': 'true' });
      key.style.setProperty('--colour', `var(${colour})`);
      return { item: make('li', {}, key, label, ' ', value), value };
    });
    const title = make('h3', {}, plan.title);
    const legend = make('ul', { class: 'legend' }, ...this.#keys.map(({ item }) => item));
    this.#place = make('div', { class: 'plot', role: 'img', 'aria-label': plan.title });
    this.element = make('figure', { class: 'card chart', id: `chart-${plan.id}` }, title, legend, this.#place);
    // The library stands in the page before this script.
    this.#plot = new uPlot(this.#options(), [[]], this.#place);
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      if (width > 0) this.#plot.setSize({ width, height: HEIGHT });
    }).observe(this.#place);
  }

  /** Whether a line has anything to show. */
  isShown(index: number, values: readonly (number | null)[]): boolean {
    return this.#plan.lines[index]?.seldom !== true || values.some((value) => (value ?? 0) > 0);
  }

  /** Shows other numbers, of the last so many seconds. */
  show(columns: Columns, range: number): void {
    this.#columns = columns;
    this.#range = range;
    // The library takes what it is given as its own.
    this.#plot.setData(columns as unknown as Plot.AlignedData);
    this.#tell();
  }

  /** The colours are other ones now. */
  repaint(): void {
    this.#plot.redraw(false, true);
  }

  /** What the chart shows, for those who can't see it. */
  describe(): void {
    const parts = this.#plan.lines.flatMap(({ label }, index) => {
      const values = (this.#columns[index + 1] ?? []).filter((value) => value !== null);
      const now = values.at(-1);
      if (now === undefined) return [];
      const { text } = this.#plan;
      return [`${label} ${text(now)}, lowest ${text(Math.min(...values))}, highest ${text(Math.max(...values))}`];
    });
    const over = `${this.#plan.title} over the last ${this.#range / 60} min`;
    this.#place.setAttribute('aria-label', `${over}: ${parts.join('; ') || 'nothing yet'}`);
  }

  /** The values at the pointer, or the latest. */
  #tell(): void {
    const at = this.#plot.cursor.idx ?? null;
    for (const [index, { item, value }] of this.#keys.entries()) {
      const column = this.#columns[index + 1] ?? [];
      show(item, this.isShown(index, column));
      const told = at === null ? column.at(-1) : column[at];
      write(value, told === null || told === undefined ? '–' : this.#plan.text(told));
    }
  }

  #options(): Plot.Options {
    const { lines, text, least } = this.#plan;
    const axis: Plot.Axis = {
      stroke: () => colourOf('--muted'),
      grid: { stroke: () => colourOf('--grid'), width: 1 },
      ticks: { show: false },
      border: { show: false },
      font: '11px system-ui, sans-serif',
    };
    return {
      width: 300,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: 'minutes' }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: { setCursor: [() => this.#tell()] },
      scales: {
        x: { range: () => this.#window() },
        y: { range: (_, __, most) => [0, ceilingOf(Math.max(most ?? 0, least))] },
      },
      axes: [
        { ...axis, space: 64, size: 26, gap: 4, values: (_, splits) => splits.map((at) => this.#timeLabel(at)) },
        { ...axis, space: 30, size: 58, gap: 6, values: (_, splits) => splits.map((value) => bare(text(value))) },
      ],
      series: [
        {},
        ...lines.map(({ label, colour, filled = false, dashed = false }): Plot.Series => ({
          label,
          width: 1.5,
          spanGaps: false,
          points: { show: false },
          stroke: () => colourOf(colour),
          ...(dashed ? { dash: [5, 3] } : {}),
          ...(filled ? { fill: () => colourOf(colour, 0.13) } : {}),
        })),
      ],
    };
  }

  #timeLabel(at: number): string {
    const [, end] = this.#window();
    // There is no room for it at the edge.
    return at > end - this.#range * 0.06 ? '' : clockText(at * 1_000, this.#range < 120);
  }

  #window(): [number, number] {
    const last = this.#columns[0].at(-1) ?? Date.now() / 1_000;
    return [last - this.#range, last];
  }
}

/** A bit more than the most, in round numbers, so that the axis does not jump with each sample. */
function ceilingOf(most: number): number {
  const size = 10 ** Math.floor(Math.log10(most));
  const [step = 10] = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].filter((each) => each * size >= most * 1.05);
  return step * size;
}

/** Without zeros after the point that say nothing. */
function bare(text: string): string {
  return text.replace(/\.0+(?=\D|$)/u, '').replace(/(\.\d*?)0+(?=\D|$)/u, '$1');
}

const probe = document.createElement('i');
const lookedUp = new Map<string, string>();

/** A colour of the page as a canvas takes it. */
function colourOf(name: string, alpha = 1): string {
  const key = `${name} ${alpha}`;
  let colour = lookedUp.get(key);
  if (colour === undefined) {
    if (!probe.isConnected) {
      probe.hidden = true;
      document.body.append(probe);
    }
    probe.style.color = alpha === 1 ? `var(${name})` : `color-mix(in srgb, var(${name}) ${alpha * 100}%, transparent)`;
    colour = getComputedStyle(probe).color;
    lookedUp.set(key, colour);
  }
  return colour;
}

/** Colours have to be looked up again. */
export function forgetColours(): void {
  lookedUp.clear();
}

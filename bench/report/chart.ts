/** Plots: bars with the range of the rounds, as SVG. */
import type { Result } from '../harness/results.ts';
import { NOUNS } from '../harness/load.ts';
import { figure } from '../harness/statistics.ts';
import { short } from '../harness/table.ts';

/** What is used of Vega; the bench can do without it until a report is made. */
interface Vega {
  parse(spec: object): object;
  View: new (runtime: object, options: { renderer: 'none' }) => { toSVG(): Promise<string> };
}

interface VegaLite {
  compile(spec: object): { readonly spec: object };
}

/** Colours that are told apart in grey too, and on dark pages. */
const COLOURS = { limit: '#8b949e', other: '#6ea8d8', ours: '#e07b39' } as const;

interface Bar {
  readonly name: string;
  readonly group: keyof typeof COLOURS;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly label: string;
}

function bars(result: Result): readonly Bar[] {
  return result.contenders.flatMap(({ name, ours }) => {
    const values =
      result.kind === 'load'
        ? result.result.rounds.filter((one) => one.contender === name).map((one) => one.cpu)
        : result.result.rounds.filter((one) => one.contender === name).map((one) => one.rssEach);
    if (values.length === 0) return [];
    const range = figure(values);
    const group = ours ? 'ours' : name === 'c' ? 'limit' : 'other';
    return [{ name, group, ...range, label: short(range.median) }];
  });
}

function specOf(result: Result): object {
  const values = bars(result);
  const what =
    result.kind === 'load'
      ? `server CPU, µs per ${NOUNS[result.result.plan.mode]} (median, and the range of the rounds)`
      : 'resident memory, bytes per connection (median, and the range of the rounds)';
  const y = { field: 'name', type: 'nominal', sort: null, title: null };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text: result.suite.title, anchor: 'start' },
    width: 460,
    height: { step: 20 },
    background: '#ffffff',
    data: { values },
    layer: [
      {
        mark: { type: 'bar', height: 14 },
        encoding: {
          y,
          x: { field: 'median', type: 'quantitative', title: what },
          color: {
            field: 'group',
            type: 'nominal',
            scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
            legend: null,
          },
        },
      },
      {
        mark: { type: 'rule', color: '#24292f' },
        encoding: { y, x: { field: 'least', type: 'quantitative' }, x2: { field: 'most' } },
      },
      {
        mark: { type: 'text', align: 'left', dx: 5, fontSize: 10 },
        encoding: { y, x: { field: 'most', type: 'quantitative' }, text: { field: 'label' } },
      },
    ],
    config: { font: 'sans-serif', view: { stroke: null }, axis: { labelLimit: 220 } },
  };
}

/** Makes plots. Rejects when Vega is not installed. */
export async function chartist(): Promise<(result: Result) => Promise<string>> {
  // By a variable, so that the types of the bench don't depend on what is installed.
  const names: readonly [string, string] = ['vega', 'vega-lite'];
  let vega: Vega, lite: VegaLite;
  try {
    [vega, lite] = [(await import(names[0])) as Vega, (await import(names[1])) as VegaLite];
  } catch (cause) {
    throw new Error('Vega is not installed: `npm ci --prefix bench`', { cause });
  }
  return async (result) => {
    const view = new vega.View(vega.parse(lite.compile(specOf(result)).spec), { renderer: 'none' });
    return `${await view.toSVG()}\n`;
  };
}

/** What the figures are held to: ratios within one run. */
import { BASELINE, BUN, DENO, LIMIT } from '../harness/contenders.ts';
import type { Result } from '../harness/results.ts';
import { leastRatio, ratio } from '../harness/load.ts';
import { figure } from '../harness/statistics.ts';
import { short, table } from '../harness/table.ts';

interface Budget {
  readonly what: string;
  readonly suite: string;
  readonly who: string;
  /** To whom it is put in relation; none for bytes. */
  readonly to?: string;
  /** Bytes of the heap, not of resident memory. */
  readonly heap?: boolean;
  readonly most: number;
}

const KB = 1_024;

const budgets: readonly Budget[] = [
  { what: 'echo 64 B, callbacks', suite: 'echo-64', who: 'protocol-native', to: LIMIT, most: 1.1 },
  { what: 'echo 64 B, `for await`', suite: 'echo-64', who: 'await-native', to: LIMIT, most: 1.18 },
  { what: 'echo 64 B, node backend, callbacks', suite: 'echo-64', who: 'protocol-node', to: BASELINE, most: 1.05 },
  { what: 'echo 64 KiB, borrowed', suite: 'echo-64k', who: 'borrow-native', to: LIMIT, most: 1.2 },
  { what: 'echo 64 KiB, owned', suite: 'echo-64k', who: 'protocol-native', to: BUN, most: 1 },
  { what: 'the same as `portside serve`', suite: 'echo-64k', who: 'serve-native', to: BUN, most: 1 },
  { what: 'accept, a byte each way, close', suite: 'accept', who: 'protocol-native', to: LIMIT, most: 1.2 },
  { what: 'the same through two workers', suite: 'dispatch', who: 'native-least-busy', to: LIMIT, most: 1.4 },
  { what: 'resident per idle connection, callbacks', suite: 'idle', who: 'protocol-native', most: KB },
  { what: 'resident per idle connection, `for await`', suite: 'idle', who: 'await-native', most: 2.5 * KB },
  { what: 'heap per idle connection, callbacks', suite: 'idle', who: 'protocol-native', most: KB, heap: true },
  { what: 'heap per idle connection, `for await`', suite: 'idle', who: 'await-native', most: 2.5 * KB, heap: true },
];

interface Outcome {
  readonly median: number;
  /** Of the leasts. */
  readonly least: number;
  /** Of the instructions, NaN where they were not counted. */
  readonly instructions: number;
}

function outcome(result: Result | undefined, who: string, to?: string, heap = false): Outcome | undefined {
  if (result === undefined) return undefined;
  if (result.kind === 'load') {
    if (to === undefined) return undefined;
    const { rounds } = result.result;
    const counted = (name: string): number =>
      figure(rounds.filter((one) => one.contender === name).map((one) => one.instructions)).median;
    return {
      median: ratio(rounds, who, to).median,
      least: leastRatio(rounds, who, to),
      instructions: counted(who) / counted(to),
    };
  }
  const of = (name: string) =>
    figure(
      result.result.rounds.filter((one) => one.contender === name).map((one) => (heap ? one.heapEach : one.rssEach)),
    );
  const mine = of(who);
  const other = to === undefined ? { median: 1, least: 1 } : of(to);
  return { median: mine.median / other.median, least: mine.least / other.least, instructions: NaN };
}

/** Kept, not kept, or nothing to say: by the leasts where they differ, as neighbours on the machine only ever add. */
function verdict({ median, least }: Outcome, most: number): string {
  if (!Number.isFinite(median)) return 'not measured';
  if (median <= most) return 'kept';
  return least <= most ? 'kept by the leasts' : '**not kept**';
}

/** The budgets, and what came of them. */
export function budgetTable(results: readonly Result[]): string {
  const find = (suite: string): Result | undefined => results.find((one) => one.suite.name === suite);
  const rows = budgets.flatMap(({ what, suite, who, to, most, heap }) => {
    const measured = outcome(find(suite), who, to, heap);
    if (measured === undefined) return [];
    const unit = to === undefined ? ' B' : ` × ${to}`;
    return [
      [
        what,
        `≤ ${short(most)}${unit}`,
        short(measured.median),
        short(measured.least),
        short(measured.instructions),
        verdict(measured, most),
      ],
    ];
  });
  return table(['budget', 'at most', 'median', 'least', 'instructions', ''], rows);
}

/** Where Bun or Deno are ahead of what is ours on the native core; who borrows counts only where it is what is compared. */
export function behind(results: readonly Result[]): readonly string[] {
  const lines: string[] = [];
  for (const result of results) {
    const natives = result.contenders.filter(({ name, ours }) => ours && name.endsWith('-native'));
    for (const { name } of natives) {
      for (const other of [BUN, DENO]) {
        const measured = outcome(result, name, other);
        if (measured === undefined || !(measured.median > 1 && measured.least > 1)) continue;
        lines.push(`${result.suite.title}: \`${name}\` is at ${short(measured.median)} × ${other}`);
      }
    }
  }
  return lines;
}

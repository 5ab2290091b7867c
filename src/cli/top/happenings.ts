import { byKind } from '../admin/tables.ts';
import type { Look } from './text.ts';

/** Something that happened, in words. */
export interface Happening {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly text: string;
  readonly look: Look;
  /** Refusals by their kinds, while they come one second after the other. */
  readonly refused?: Readonly<Record<string, number>>;
}

/** How many are kept. */
const MOST = 200;
/** Milliseconds in which refusals are one happening. */
const TOGETHER = 60_000;

interface Told {
  readonly more?: number;
  readonly [name: string]: unknown;
}

/** Adds what an event of the admin endpoint tells, the latest first; what is no happening changes nothing. */
export function withEvent(list: readonly Happening[], event: string, data: unknown, at: number): readonly Happening[] {
  if (typeof data !== 'object' || data === null) return list;
  const told = data as Told;
  if (event === 'refused' && told.more === undefined) return withRefused(list, data as Record<string, number>, at);
  const [text, look] = wordsOf(event, told) ?? [];
  return text === undefined || look === undefined ? list : withHappening(list, { at, text, look });
}

/** Adds one, the latest first. */
export function withHappening(list: readonly Happening[], one: Happening): readonly Happening[] {
  return [one, ...list.slice(0, MOST - 1)];
}

function withRefused(
  list: readonly Happening[],
  more: Readonly<Record<string, number>>,
  at: number,
): readonly Happening[] {
  const [last] = list;
  const joins = last?.refused !== undefined && at - last.at < TOGETHER;
  const refused: Record<string, number> = joins ? { ...last.refused } : {};
  for (const [kind, count] of Object.entries(more)) refused[kind] = (refused[kind] ?? 0) + count;
  const one: Happening = { at, text: `refused: ${byKind(refused)}`, look: 'yellow', refused };
  return withHappening(joins ? list.slice(1) : list, one);
}

function wordsOf(event: string, told: Told): readonly [text: string, look: Look] | null {
  const { more, worker, what, detail, message, state, before } = told;
  if (typeof more === 'number') return [`${more} more of ${event}`, 'yellow'];
  const whose = typeof worker === 'number' ? `worker ${worker}: ` : '';
  switch (event) {
    case 'state':
      return [`${String(before)} → ${String(state)}`, 'cyan'];
    case 'error':
      return [`error: ${whose}${String(message)}`, 'red'];
    case 'trouble':
      return [`trouble: ${whose}${String(message)}`, 'red'];
    case 'worker': {
      const how = typeof detail === 'string' && detail !== '' ? `: ${detail}` : '';
      return [`worker ${String(worker)} ${String(what)}${how}`, what === 'died' ? 'red' : 'plain'];
    }
    case 'audit': {
      const { action, peer, result, told: came } = told;
      const done = result === 'done' ? '' : ' was refused';
      return [`${String(action)} by ${String(peer)}${done}: ${String(came)}`, 'plain'];
    }
    default:
      return null;
  }
}

import type { StatusJson, TickJson } from '../../ops/admin-status.ts';
import { drainLine } from '../admin/reports.ts';
import { howMuch, percent } from '../admin/tables.ts';
import { shortTime } from './meters.ts';
import { perSecond, ratesOf } from './rates.ts';
import type { Rates } from './rates.ts';
import { harmless } from './text.ts';

/** A tick in a line: `2026-11-21T12:41:33Z running; 12 open of 10000; accepted 3/s; refused 0/s; in 1.2k/s; out 3.4k/s; …`. `rates`: since the tick before; null, shown as `-`, where they are not known. */
export function tickLine(tick: TickJson, rates: Rates | null): string {
  const { at, state, ready, active, maxConnections, opening, queued, errors, loop, memory, drain } = tick;
  const count = (of: (rates: Rates) => number): string => (rates === null ? '-' : perSecond(of(rates)));
  const bytes = (of: (rates: Rates) => number): string => (rates === null ? '-' : howMuch(Math.round(of(rates))));
  const kinds = Object.entries(rates?.refusedBy ?? {}).map(([kind, refused]) => `${kind} ${perSecond(refused)}`);
  const parts = [
    `${new Date(at).toISOString().replace(/\.\d+Z$/u, 'Z')} ${state}${ready ? '' : ', not ready'}`,
    `${active} open of ${maxConnections}`,
    opening + queued > 0 ? `${opening} opening, ${queued} queued` : '',
    `accepted ${count(({ accepted }) => accepted)}/s`,
    `closed ${count(({ closed }) => closed)}/s`,
    `refused ${count(({ refused }) => refused)}/s${kinds.length === 0 ? '' : ` (${kinds.join(', ')})`}`,
    `in ${bytes(({ bytesRead }) => bytesRead)}/s`,
    `out ${bytes(({ bytesWritten }) => bytesWritten)}/s`,
    `loop ${percent(loop.utilization)}, late ${shortTime(loop.delayP99)}`,
    `memory ${howMuch(memory.rss)}`,
    errors > 0 ? `errors ${errors}` : '',
    drain === null ? '' : `drain: ${drainLine(drain, at)}`,
  ];
  return harmless(parts.filter((part) => part !== '').join('; '));
}

/** Ticks as lines, in words or as JSON. */
export class PlainLines {
  readonly #json: boolean;
  #about: Pick<StatusJson, 'name' | 'pid'> | null = null;
  #before: TickJson | null = null;

  constructor(json: boolean) {
    this.#json = json;
  }

  /** A server was reached: what comes next is counted from here, unless it was counted of it already. */
  begin(status: StatusJson): void {
    const same = this.#about?.pid === status.pid && status.uptime >= (this.#before?.uptime ?? 0);
    if (!same) this.#before = status;
    this.#about = status;
  }

  /** The line of a tick, with its end. JSON has what the server tells, its name and process, and the `rates` since the tick before. */
  line(tick: TickJson): string {
    const rates = this.#before === null ? null : ratesOf(this.#before, tick);
    this.#before = tick;
    if (!this.#json) return `${tickLine(tick, rates)}\n`;
    const { name, pid } = this.#about ?? {};
    return `${JSON.stringify({ name, pid, ...tick, rates })}\n`;
  }
}

import type { Connection } from '../net/connection.ts';
import { MEASURE_CELLS, Measures } from '../server/measures.ts';
import { refusalKinds } from '../server/refusal.ts';
import type { Refusal, RefusalKind } from '../server/refusal.ts';
import type { ServiceObserver } from '../server/service.ts';
import { LOOP_CELLS, LoopLook, LoopWatch } from './loop-watch.ts';

/** The names under which ends of connections are counted, those that only a parent knows included. */
export const reasonNames: readonly string[] = Object.freeze([
  'ended',
  'closed',
  'dropped',
  'aborted',
  'reset',
  'failed',
  'write-overflow',
  'released',
  'timeout-handshake',
  'timeout-firstByte',
  'timeout-idle',
  'timeout-read',
  'timeout-write',
  'timeout-life',
  'drained-idle',
  'drained-forced',
  'refused',
  'handshake',
  'worker-died',
  'other',
]);

const numbers = ['accepted', 'closed', 'detached', 'errors', 'troubles', 'bytesRead', 'bytesWritten', 'beat'] as const;
type NumberName = (typeof numbers)[number];

const OF_REASONS = numbers.length;
const OF_REFUSALS = OF_REASONS + reasonNames.length;
const OF_MEASURES = OF_REFUSALS + refusalKinds.length;
const OF_LOOP = OF_MEASURES + MEASURE_CELLS;
const LENGTH = OF_LOOP + LOOP_CELLS;

const columnOf = new Map<string, number>(reasonNames.map((name, i) => [name, OF_REASONS + i]));
const refusalColumn = new Map<RefusalKind, number>(refusalKinds.map((kind, i) => [kind, OF_REFUSALS + i]));
const at = Object.fromEntries(numbers.map((name, i) => [name, i])) as Record<NumberName, number>;

/** What was counted. */
export interface Counts {
  accepted: number;
  closed: number;
  detached: number;
  errors: number;
  troubles: number;
  bytesRead: number;
  bytesWritten: number;
  readonly reasons: Record<string, number>;
  readonly refused: Record<RefusalKind, number>;
  readonly measures: Measures;
}

/** Nothing counted. */
export function noCounts(): Counts {
  const refused = Object.fromEntries(refusalKinds.map((kind) => [kind, 0])) as Record<RefusalKind, number>;
  const zeros = { accepted: 0, closed: 0, detached: 0, errors: 0, troubles: 0, bytesRead: 0, bytesWritten: 0 };
  return { ...zeros, reasons: {}, refused, measures: new Measures() };
}

/** Adds counts up, into the first. */
export function addCounts(total: Counts, more: Counts): void {
  for (const name of ['accepted', 'closed', 'detached', 'errors', 'troubles', 'bytesRead', 'bytesWritten'] as const)
    total[name] += more[name];
  for (const [name, count] of Object.entries(more.reasons)) total.reasons[name] = (total.reasons[name] ?? 0) + count;
  for (const kind of refusalKinds) total.refused[kind] += more.refused[kind];
  total.measures.add(more.measures);
}

/**
 * A worker's counts in memory that its parent sees, so that they are exact at any moment, and survive the worker. It alone writes, but for how often its event loop
 * was looked at; the numbers are 64 bits wide, so that no half of one is ever seen.
 */
export class TallySheet {
  readonly shared: SharedArrayBuffer;
  /** How late the worker's event loop is. */
  readonly loop: LoopLook;
  readonly #cells: Float64Array;
  readonly #measures: Measures;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(LENGTH * Float64Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#cells = new Float64Array(shared);
    this.#measures = new Measures(this.#cells, OF_MEASURES);
    this.loop = new LoopLook(this.#cells.subarray(OF_LOOP));
  }

  get accepted(): number {
    return this.#cells[at.accepted]!;
  }

  /** Connections that were accepted and are over, or were given away. */
  get over(): number {
    return this.#cells[at.closed]! + this.#cells[at.detached]!;
  }

  get bytesRead(): number {
    return this.#cells[at.bytesRead]!;
  }

  get bytesWritten(): number {
    return this.#cells[at.bytesWritten]!;
  }

  /** Goes up while the worker's event loop turns. */
  get beat(): number {
    return this.#cells[at.beat]!;
  }

  read(): Counts {
    const counts = noCounts();
    const cells = this.#cells;
    for (const name of numbers) if (name !== 'beat') counts[name] = cells[at[name]]!;
    // A worker may have been ended between two cells: the reasons are what counts.
    counts.closed = 0;
    for (const [name, column] of columnOf) {
      const count = cells[column]!;
      if (count === 0) continue;
      counts.reasons[name] = count;
      counts.closed += count;
    }
    for (const [kind, column] of refusalColumn) counts.refused[kind] = cells[column]!;
    counts.measures.add(this.#measures);
    return counts;
  }
}

/** The worker's side. */
export class Tally implements ServiceObserver {
  readonly measures: Measures;
  readonly #loop: LoopWatch;
  readonly #cells: Float64Array;
  readonly #open = new Set<Connection>();
  /** Bytes of connections that are over. */
  #read = 0;
  #written = 0;

  constructor(shared: SharedArrayBuffer) {
    this.#cells = new Float64Array(shared);
    this.measures = new Measures(this.#cells, OF_MEASURES);
    this.#loop = new LoopWatch(this.#cells.subarray(OF_LOOP));
  }

  /** Connections that it has accepted. */
  get taken(): number {
    return this.#cells[at.accepted]!;
  }

  /** The connections that are open. */
  get open(): ReadonlySet<Connection> {
    return this.#open;
  }

  accepted(connection: Connection): void {
    this.#open.add(connection);
    this.#add(at.accepted);
  }

  closed(connection: Connection, reason: string): void {
    this.#forget(connection);
    // The reason first, so that no reader finds an end without one.
    this.#add(columnOf.get(reason) ?? columnOf.get('other')!);
    this.#add(at.closed);
  }

  detached(connection: Connection): void {
    this.#forget(connection);
    this.#add(at.detached);
  }

  handedOver(connection: Connection): void {
    // The parent counts it, who passes it on.
    this.#forget(connection);
  }

  refused(refusal: Refusal): void {
    this.#add(refusalColumn.get(refusal.kind)!);
  }

  /** One arrived when it was too late to serve it. */
  turnedAway(): void {
    this.#add(at.accepted);
    this.#add(refusalColumn.get('stopping')!);
    this.#add(columnOf.get('refused')!);
    this.#add(at.closed);
  }

  trouble(): void {
    this.#add(at.troubles);
  }

  failed(): void {
    this.#add(at.errors);
  }

  /** To be called every now and then: shows that the worker turns, and how many bytes went through. */
  beat(): void {
    let read = this.#read;
    let written = this.#written;
    for (const { bytesRead, bytesWritten } of this.#open) {
      read += bytesRead;
      written += bytesWritten;
    }
    this.#cells[at.bytesRead] = read;
    this.#cells[at.bytesWritten] = written;
    this.#loop.beat();
    this.#add(at.beat);
  }

  #forget(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    this.#read += connection.bytesRead;
    this.#written += connection.bytesWritten;
  }

  #add(column: number): void {
    this.#cells[column]! += 1;
  }
}

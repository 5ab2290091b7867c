import type { MessagePort } from 'node:worker_threads';

/**
 * How a worker has its permits. `handed`: the parent took one before it accepted, and it goes with the connection. `leased`: the worker accepts by itself, and holds permits
 * ahead of its connections.
 */
export type PermitMode = 'handed' | 'leased';

/** A worker's end of a loan, as it travels: plain data that is posted once, to one thread, with its port in the list of what is transferred. */
export interface PermitTicket {
  readonly mode: PermitMode;
  /** The cells below. */
  readonly shared: SharedArrayBuffer;
  readonly port: MessagePort;
  /** The limits when it was made; a change comes as a message. */
  readonly connections: number;
  readonly perClient: number;
}

/**
 * The cells of a ticket. All are changed in one step each (Atomics), so a worker may be ended between any two: what it has is the parent's book, and the cells
 * only say which part of that is not in use. A permit that is in neither {@link FREE} nor {@link RETURNED} is in use, or was when the worker ended.
 */
export const CELLS_BYTES: number = 5 * Int32Array.BYTES_PER_ELEMENT;

/** Leased permits that are not in use: the worker takes from them, and the parent takes them away. */
export const FREE = 0;
/** Permits that are the parent's again as soon as it looks. */
export const RETURNED = 1;
/** What becomes of a permit that is given: one of {@link KEEP}, {@link RETURN} and {@link TELL}. */
export const RECALL = 2;
/** What the worker wants: one of {@link NOTHING}, {@link MORE}, {@link GRANTED} and {@link AHEAD}. */
export const WANTS = 3;
/** Set by the parent: with how many left in {@link FREE} the worker is to ask for more, before it needs them. */
export const LOW = 4;

/** Set by the parent: a leased permit stays with the worker. */
export const KEEP = 0;
/** Set by both: permits go back to the parent, which looks by itself. */
export const RETURN = 1;
/** Set by the parent, which waits: permits go back, and the first that does makes it {@link RETURN} and tells. */
export const TELL = 2;
/** What the cell {@link RECALL} holds. */
export type Recall = typeof KEEP | typeof RETURN | typeof TELL;

/** Set by both: nobody waits for permits. */
export const NOTHING = 0;
/** Set by the worker: somebody waits. */
export const MORE = 1;
/** Set by the parent: there are some for those that wait, and they are not taken away before these have heard of it. */
export const GRANTED = 2;
/** Set by the worker: it will soon have none; nobody waits. */
export const AHEAD = 3;

/** Worker to parent. */
export type PermitWords =
  /** The cell {@link WANTS} has changed. */
  | { readonly kind: 'wants' }
  /** The cell {@link RECALL} was {@link TELL}, and something has come back. */
  | { readonly kind: 'back' }
  | { readonly kind: 'takeFor'; readonly id: number; readonly client: string }
  | { readonly kind: 'giveFor'; readonly client: string };

/** Parent to worker. */
export type PermitAnswers =
  /** The cell {@link WANTS} was made {@link GRANTED}. */
  | { readonly kind: 'granted' }
  | { readonly kind: 'answer'; readonly id: number; readonly granted: boolean }
  | { readonly kind: 'limits'; readonly connections: number; readonly perClient: number };

/** Takes up to `most` out of a cell, in one step; gives back how many those were. */
export function takeOut(cells: Int32Array, cell: number, most: number): number {
  for (;;) {
    const there = Atomics.load(cells, cell);
    const taken = Math.min(there, most);
    if (taken <= 0) return 0;
    if (Atomics.compareExchange(cells, cell, there, there - taken) === there) return taken;
  }
}

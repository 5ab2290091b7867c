import { milliseconds, number, object, oneOf, required, table } from '../../base/options.ts';
import type { Table } from '../../base/options.ts';

/** Which end of a connection: the one that dialed, or the one that was accepted. */
export type Side = 'client' | 'server';

/**
 * What may go wrong on a network in memory. All is drawn from the network's seed, so that a run under a
 * virtual clock can be had again. Chances are from 0 (never, the default) to 1 (always).
 */
export interface Faults {
  /** Milliseconds that each delivery takes, drawn evenly from the range. Order within a direction is kept. */
  readonly latency?: { readonly min: number; readonly max: number } | undefined;
  /** Bytes per second that each direction carries. */
  readonly bandwidth?: number | undefined;
  /** Chance that a chunk is cut at a random place; what is left behind the cut has the same chance again. Each piece arrives in a turn of its own. */
  readonly split?: number | undefined;
  /** Chance that a chunk is joined with the one before it, if that has not been read yet; joined chunks have 16,384 bytes at most. */
  readonly coalesce?: number | undefined;
  /** Chance, at each delivery, that the connection is reset for both sides instead; the bytes are lost. */
  readonly reset?: number | undefined;
  /**
   * Chance, at each delivery, that the connection goes silent for good instead: nothing arrives any more, in either
   * direction, no FIN, no RST. Who waits for an acknowledgement gets ETIMEDOUT after the network's `userTimeout`.
   */
  readonly halfOpen?: number | undefined;
  /** Chance that a dial is refused (ECONNREFUSED). */
  readonly refuse?: number | undefined;
  /** Chance, at each attempt of a dial, that the listener's queue behaves as if it were full; see `synRetry`. */
  readonly backlogFull?: number | undefined;
  /** Chance that a dial or `take()` finds no descriptor left (EMFILE). */
  readonly noDescriptors?: number | undefined;
  /** A reader that takes no more than `rate` bytes per second out of its buffer: the server's connections, the client's, or both (default). */
  readonly slowReader?: { readonly rate: number; readonly side?: Side | 'both' | undefined } | undefined;
}

const chance = number({ min: 0, max: 1 });
const rate = number({ min: 1 });

const faultFields = {
  latency: object({ min: required(milliseconds()), max: required(milliseconds()) }, ({ min, max }, problem) => {
    if (max < min) problem('max', `must not be less than min (${min})`);
  }),
  bandwidth: rate,
  split: chance,
  coalesce: chance,
  reset: chance,
  halfOpen: chance,
  refuse: chance,
  backlogFull: chance,
  noDescriptors: chance,
  slowReader: object({ rate: required(rate), side: oneOf('client', 'server', 'both') }),
} as const;

/** Holds {@link Faults} given at run time. */
export const faultsTable: Table<Faults> = table('network.faults', faultFields);

/** Holds {@link Faults} within the options of the network. */
export const faultsRule = object(faultFields) as Table<Faults>['rule'];

/** Faults with nothing left open: what is not set is 0. */
export interface Plan {
  readonly latencyMin: number;
  readonly latencyMax: number;
  readonly bandwidth: number;
  readonly split: number;
  readonly coalesce: number;
  readonly reset: number;
  readonly halfOpen: number;
  readonly refuse: number;
  readonly backlogFull: number;
  readonly noDescriptors: number;
  readonly slowRate: number;
  readonly slowSide: Side | 'both';
  /** Bytes go straight into the peer's buffer: nothing delays, cuts, joins or breaks them. */
  readonly straight: boolean;
}

/** Lays faults over each other, the later ones on top, field by field. */
export function planOf(layers: readonly Faults[]): Plan {
  const all: { -readonly [K in keyof Faults]: Faults[K] } = {};
  for (const layer of layers)
    Object.assign(all, Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined)));
  const plan = {
    latencyMin: all.latency?.min ?? 0,
    latencyMax: all.latency?.max ?? 0,
    bandwidth: all.bandwidth ?? 0,
    split: all.split ?? 0,
    coalesce: all.coalesce ?? 0,
    reset: all.reset ?? 0,
    halfOpen: all.halfOpen ?? 0,
    refuse: all.refuse ?? 0,
    backlogFull: all.backlogFull ?? 0,
    noDescriptors: all.noDescriptors ?? 0,
    slowRate: all.slowReader?.rate ?? 0,
    slowSide: all.slowReader?.side ?? 'both',
  } as const;
  const { latencyMax, bandwidth, split, coalesce, reset, halfOpen } = plan;
  return { ...plan, straight: latencyMax + bandwidth + split + coalesce + reset + halfOpen === 0 };
}

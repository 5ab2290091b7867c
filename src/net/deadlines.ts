import { milliseconds, object } from '../base/options.ts';
import type { Rule } from '../base/options.ts';

/** Times in milliseconds that a connection may take; `Infinity` is none. When one is over, the connection ends with the reason `timeout`, which names it. */
export interface DeadlineOptions {
  /** From the end of the handshakes (or from the accept) to the first byte of the peer. Bytes that nobody reads yet are not seen. @default Infinity */
  firstByte?: number | undefined;
  /** Without a byte in either direction, handshakes apart. Output that is above the high-water mark moves whenever the peer takes some of it. @default Infinity */
  idle?: number | undefined;
  /** That a reader waits for the peer's next byte; who serves by callbacks always waits while reading is on. @default Infinity */
  read?: number | undefined;
  /**
   * That output above the high-water mark, or that `flushed` waits for, lies there while the peer takes none of it. A slow
   * peer that takes some is not late; it is looked eight times in each interval. @default 60000
   */
  write?: number | undefined;
  /** The whole life, from the accept on. @default Infinity */
  life?: number | undefined;
}

/** {@link DeadlineOptions} with every default filled in; shared by the connections of a listener, and changed in place. */
export interface Deadlines {
  firstByte: number;
  idle: number;
  read: number;
  write: number;
  life: number;
}

/** The deadline that a connection missed. */
export type DeadlineName = keyof DeadlineOptions | 'handshake';

const time = milliseconds({ min: 1, infinite: true });

/** The rule of {@link DeadlineOptions}. */
export const deadlinesRule: Rule<DeadlineOptions> = object({
  firstByte: time,
  idle: time,
  read: time,
  write: time,
  life: time,
});

export const WRITE_DEADLINE = 60_000;

/** Fills in the defaults, or what was before. */
export function deadlinesOf(options: DeadlineOptions = {}, before?: Deadlines): Deadlines {
  return {
    firstByte: options.firstByte ?? before?.firstByte ?? Infinity,
    idle: options.idle ?? before?.idle ?? Infinity,
    read: options.read ?? before?.read ?? Infinity,
    write: options.write ?? before?.write ?? WRITE_DEADLINE,
    life: options.life ?? before?.life ?? Infinity,
  };
}

/** Whether a connection has to be watched for them while it does nothing. */
export function watches({ firstByte, idle, read, life }: Deadlines): boolean {
  return Math.min(firstByte, idle, read, life) < Infinity;
}

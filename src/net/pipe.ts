import type { CloseReason } from './close-reason.ts';
import type { Connection } from './connection.ts';
import { link } from './connection.ts';
import type { Consumer, Link } from './link.ts';

/** What went through a pipe and how its two ends closed. */
export interface PipeResult {
  /** Bytes from the first connection to the second. */
  readonly forth: number;
  /** Bytes from the second connection to the first. */
  readonly back: number;
  readonly first: CloseReason;
  readonly second: CloseReason;
}

/** One end of a pipe: what it reads is written to the other end, which makes it wait when it must. */
class End implements Consumer {
  readonly #link: Link;
  readonly #other: Link;
  /** Each direction waits for its own taker, or two ends could wait for each other. */
  readonly rests = false;
  bytes = 0;

  constructor(from: Link, to: Link) {
    this.#link = from;
    this.#other = to;
  }

  data(_connection: Connection, bytes: Uint8Array): void {
    this.bytes += bytes.length;
    void this.#other.write(bytes);
    if (this.#other.channel.queued > this.#other.settings.highWaterMark) this.#link.hold(true);
  }

  end(): void {
    void this.#other.endOutput();
  }

  /** This end took what was queued for it: the other may be read again. */
  writable(): void {
    this.#other.hold(false);
  }

  close(_connection: Connection, reason: CloseReason): void {
    switch (reason.kind) {
      case 'ended':
      case 'closed':
      case 'released':
        void this.#other.shut(this.#other.settings.linger);
        break;
      default:
        this.#other.destroy('reset', { kind: 'aborted', cause: reason });
    }
  }
}

/**
 * Joins two connections: what one reads the other writes, with back-pressure both ways and half-close passed on. When one fails or is reset, so is the
 * other. Resolves when both are over; never rejects. Bytes that were read before and not taken go first. The connections belong to the pipe from then on.
 */
export async function pipe(first: Connection, second: Connection): Promise<PipeResult> {
  const a = link(first);
  const b = link(second);
  const forth = new End(a, b);
  const back = new End(b, a);
  join(a, forth);
  join(b, back);
  const [firstReason, secondReason] = await Promise.all([first.closed, second.closed]);
  return { forth: forth.bytes, back: back.bytes, first: firstReason, second: secondReason };
}

function join(from: Link, end: End): void {
  for (const bytes of from.consume(end)) end.data(from.connection, bytes);
  if (from.reason !== null) end.close(from.connection, from.reason);
  else if (from.peerEnded) end.end();
  else from.resumeInput();
}

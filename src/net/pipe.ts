import { PortsideError } from '../base/errors.ts';
import type { CloseReason } from './close-reason.ts';
import type { Connection } from './connection.ts';
import { link } from './connection.ts';
import type { Consumer } from './consumer.ts';
import { endOutput } from './half-close.ts';
import { mustBeIdle } from './link-errors.ts';
import type { Link } from './link.ts';

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
  /** What is read is written at once, and kept by nobody here. */
  readonly borrows = true;
  bytes = 0;

  constructor(from: Link, to: Link) {
    this.#link = from;
    this.#other = to;
  }

  data(_connection: Connection, bytes: Uint8Array): void {
    // Its output was ended by hand: what still comes is let go, so that this end's own end is seen.
    if (this.#other.outputEnded) return;
    this.bytes += bytes.length;
    void this.#other.write(bytes);
    this.#holdIfFull();
  }

  /** What was read before the pipe, as one: however much it is, the write limit lets a single write through. */
  before(chunks: readonly Uint8Array[]): void {
    if (chunks.length === 0 || this.#other.outputEnded) return;
    for (const { length } of chunks) this.bytes += length;
    void this.#other.writeAll(chunks);
    this.#holdIfFull();
  }

  end(): void {
    void endOutput(this.#other);
  }

  /** This end took what was queued for it: the other may be read again. */
  writable(): void {
    this.#other.hold(false);
  }

  close(_connection: Connection, reason: CloseReason): void {
    const other = this.#other;
    switch (reason.kind) {
      case 'ended':
        // With both of its directions ended the other closes by itself when its peer has taken what is queued, however long that takes.
        if (other.outputEnded && other.peerEnded) return;
        other.shut(other.settings.linger);
        break;
      case 'closed':
      case 'released':
        other.shut(other.settings.linger);
        break;
      default:
        other.destroy('reset', { kind: 'aborted', cause: reason });
    }
  }

  #holdIfFull(): void {
    if (this.#other.channel.queued > this.#other.settings.highWaterMark) this.#link.hold(true);
  }
}

/**
 * Joins two connections: what one reads the other writes, with back-pressure both ways and half-close passed on. Bytes that were read before and not taken go
 * first. The connections belong to the pipe from then on: corks are taken out, and when one was closed, the other is closed in order.
 *
 * When one fails or is reset, so is the other, whose reason is `aborted` with the first one's reason as the cause. Resolves when both are over, and
 * what a peer does never rejects it. It rejects, with both left as they were, with ERR_PORTSIDE_READ_BUSY while a read waits on either, and with
 * ERR_PORTSIDE_OPTIONS for a connection and itself.
 */
export async function pipe(first: Connection, second: Connection): Promise<PipeResult> {
  const a = link(first);
  const b = link(second);
  if (a === b)
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', "pipe: a connection can't be joined to itself", { op: 'pipe' });
  const forth = new End(a, b);
  const back = new End(b, a);
  // Refused for both before either is taken.
  mustBeIdle(a, 'pipe');
  mustBeIdle(b, 'pipe');
  join(a, b, forth);
  join(b, a, back);
  const [firstReason, secondReason] = await Promise.all([first.closed, second.closed]);
  return { forth: forth.bytes, back: back.bytes, first: firstReason, second: secondReason };
}

function join(from: Link, to: Link, end: End): void {
  void to.uncork(true);
  end.before(from.consume(end));
  if (from.reason !== null) end.close(from.connection, from.reason);
  else if (from.inputOver) end.end();
  else from.resumeInput();
}

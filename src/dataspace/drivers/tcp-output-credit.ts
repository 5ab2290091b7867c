import type { Link } from '../../net/link.ts';
import { Fifo } from '../../sync/fifo.ts';

interface Written {
  readonly length: number;
  /** Bytes that the connection had been given when this was its last. */
  readonly end: number;
}

/** What was written to a connection and is not with the kernel: each piece is answered when it is. */
export class TcpOutputCredit {
  readonly #inside: Link;
  readonly #written = new Fifo<Written>();

  constructor(inside: Link) {
    this.#inside = inside;
  }

  /** Whether something waits to be answered that could be. */
  get due(): boolean {
    const first = this.#written.peek();
    return first !== undefined && first.end <= this.#taken;
  }

  /** Notes that so many bytes were just written. */
  wrote(length: number): void {
    this.#written.push({ length, end: this.#inside.sent });
  }

  /** The length of the next piece that is with the kernel, once; undefined when there is none, and then it is told when there is. */
  next(): number | undefined {
    if (this.due) return this.#written.shift()?.length;
    if (this.#written.length > 0) this.#inside.channel.wantWritable();
    return undefined;
  }

  get #taken(): number {
    return this.#inside.sent - this.#inside.queued;
  }
}

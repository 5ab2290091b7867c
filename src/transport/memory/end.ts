import type { PortsideError } from '../../base/errors.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import { systemError } from '../system-error.ts';
import { ChunkQueue } from './chunk-queue.ts';
import type { Side } from './faults.ts';
import type { Link } from './link.ts';
import { JOIN_LIMIT } from './wire.ts';
import type { Wire } from './wire.ts';

/** Who holds an end and hears of it. Nothing here may call a sink: these run within calls of the contract. */
export interface EndOwner {
  /** Bytes that it has not written yet. */
  readonly queued: number;
  /** Something to read, to write into, or to fail of. */
  stirred(): void;
}

/** One end of a connection, as a kernel holds it: with or without somebody who owns it. */
export class End {
  readonly side: Side;
  readonly local: Address;
  readonly remote: Address;
  readonly link: Link;
  /** Bytes that arrived and were not read. */
  readonly inbox: ChunkQueue = new ChunkQueue();
  /** The direction to the peer, and from it. */
  out!: Wire;
  in!: Wire;
  owner: EndOwner | null = null;
  /** The peer's FIN is behind what is in the inbox. */
  finIn = false;
  finOut = false;
  closed = false;
  /** Why nothing more can come or go, behind what is in the inbox. */
  error: PortsideError | null = null;
  /** Idle milliseconds before a probe, or null. */
  keepAlive: number | null = null;

  constructor(link: Link, side: Side, local: Address, remote: Address) {
    this.link = link;
    this.side = side;
    this.local = local;
    this.remote = remote;
  }

  /** Whether its owner has output that the wire has no room for. */
  get waiting(): boolean {
    return this.owner !== null && this.owner.queued > 0;
  }

  /** The next bytes of the inbox, `max` at most; the inbox must not be empty. */
  take(max: number): Uint8Array {
    const bytes = this.inbox.shift(max);
    this.in.roomy();
    return bytes;
  }

  /** Bytes from the wire. */
  arrive(bytes: Uint8Array, join: boolean): void {
    if (this.closed) {
      this.out.rst();
      return;
    }
    if (this.error !== null) return;
    if (!join || !this.inbox.join(bytes, JOIN_LIMIT)) this.inbox.push(bytes);
    this.owner?.stirred();
  }

  /** A FIN from the wire. */
  ended(): void {
    if (this.closed || this.error !== null) return;
    this.finIn = true;
    this.owner?.stirred();
  }

  /** The connection broke; what is in the inbox can still be read. */
  fail(code: 'ECONNRESET' | 'ETIMEDOUT'): void {
    this.out.purge();
    if (this.closed || this.error !== null) return;
    // Linux says EPIPE to who had been told the peer's end already.
    const name = code === 'ECONNRESET' && this.finIn ? 'EPIPE' : code;
    this.error = systemError(name === 'ECONNRESET' ? 'read' : 'write', name, {
      local: formatAddress(this.local),
      remote: formatAddress(this.remote),
    });
    this.out.watch();
    this.owner?.stirred();
  }

  /** Ends the output. */
  fin(): void {
    if (this.finOut || this.closed || this.error !== null) return;
    this.finOut = true;
    this.out.fin();
  }

  /** Gives the end up: with a FIN, or a RST when asked for or when input was left unread, as Linux does. */
  close(hard: boolean): void {
    if (this.closed) {
      if (hard && this.error === null) this.out.rst();
      return;
    }
    const unread = this.inbox.clear() > 0;
    if (this.error === null && !hard && !unread) this.fin();
    this.closed = true;
    if (this.error === null && (hard || unread)) this.out.rst();
    this.owner = null;
    this.out.watch();
    this.link.closed(this);
    // Whoever waited for room writes on, and learns that nobody is here.
    this.in.roomy();
  }
}

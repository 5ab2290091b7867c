import type { MessagePort } from 'node:worker_threads';
import { PortsideError } from '../../base/errors.ts';
import { tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Channel } from '../contract.ts';
import type { PassageTicket } from '../passage.ts';
import { NodeChannel } from './channel.ts';
import { HoldingAcceptor } from './holding.ts';
import { ASKED, ENDED, SHUT, TAKEN, TUNED } from './passage.ts';
import type { Parcel } from './passage.ts';

/**
 * The other end of a `NodePassage`: an acceptor of what comes through it. It holds them, unread, up to the passage's capacity.
 *
 * `close()` resets those that it holds. They count as taken: the giver is told of them no more than of a connection that somebody took and reset.
 * Those that are still on their way are closed by the system, and the giver is told of them at its end.
 */
export class NodeArrivals extends HoldingAcceptor<Parcel> {
  readonly #port: MessagePort;
  readonly #counters: Int32Array;
  /** How many were taken; the number of the next. */
  #taken = 0;

  /** Throws ERR_PORTSIDE_UNSUPPORTED for the ticket of another transport. */
  constructor(ticket: PassageTicket, address: Address, kernelQueue: boolean) {
    super(address, kernelQueue);
    if (ticket.transport !== 'node') {
      throw new PortsideError(
        'ERR_PORTSIDE_UNSUPPORTED',
        `node:net can't take connections of the ${ticket.transport} transport`,
        { op: 'arrivals' },
      );
    }
    this.#port = ticket.port;
    this.#counters = new Int32Array(ticket.shared);
    // Listening references it.
    ticket.port.on('message', (parcel: Parcel) => this.#arrive(parcel));
    ticket.port.on('close', () => {
      if ((Atomics.load(this.#counters, TAKEN) & ENDED) !== 0) reset(this.empty());
    });
  }

  take(): Channel | null {
    const parcel = this.next();
    if (parcel === undefined) return null;
    const channel = open(parcel);
    if (!this.#count(parcel)) {
      // The giver has told it as untaken, and all behind it.
      channel.destroy('reset');
      reset(this.empty());
      return null;
    }
    if (Atomics.load(this.#counters, ASKED) !== 0 && Atomics.exchange(this.#counters, ASKED, 0) !== 0) {
      this.#port.postMessage(null);
    }
    return channel;
  }

  protected hang(on: boolean): void {
    if (on) this.#port.ref();
    else this.#port.unref();
  }

  protected shut(left: readonly Parcel[]): void {
    const last = left.at(-1);
    if (last !== undefined) this.#count(last);
    reset(left);
    this.#port.close();
  }

  #arrive(parcel: Parcel): void {
    if (this.closed) open(parcel).destroy('reset');
    else this.hold(parcel);
  }

  /** Acknowledges all up to this one, also what may have got lost between. False when the passage has ended before. */
  #count(parcel: Parcel): boolean {
    const next = parcel[0] + 1;
    const before = Atomics.add(this.#counters, TAKEN, 2 * (next - this.#taken));
    this.#taken = next;
    return (before & ENDED) === 0;
  }
}

function reset(left: readonly Parcel[]): void {
  for (const parcel of left) open(parcel).destroy('reset');
}

const NOTHING: readonly Uint8Array[] = [];

function open([, socket, host, port]: Parcel): NodeChannel {
  // The system lets an output be ended again; Node has to be told.
  if ((port & SHUT) !== 0) socket.end();
  const remote = tcpAddress(host, port & ~(SHUT | TUNED));
  return NodeChannel.adopt(socket, { local: null, remote }, NOTHING, false, (port & TUNED) !== 0);
}

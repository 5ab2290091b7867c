import { constants } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { ClosedError, PortsideError } from '../../base/errors.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, Channel } from '../contract.ts';
import type { Parcel, Passage, PassageTicket, Passages, Untaken } from '../passage.ts';
import { NativeAcceptor } from './acceptor.ts';
import { NativeChannel } from './channel.ts';
import { failure } from './failure.ts';
import { CTL_GEN } from './layout.ts';
import type { NativeLoop, SocketEvents } from './loop.ts';
import { takenChannel } from './taken.ts';

const { EAGAIN, EBUSY, ENOENT, EPIPE } = constants.errno;

/** In what is shared: the passage has ended. All else is told by the core's mailbox. */
const ENDED = 0;

/** A way out of this thread through a mailbox of the core, which holds the connections until they are taken: none is ever lost. */
class NativePassage implements Passage, SocketEvents {
  readonly ticket: PassageTicket;
  readonly transfer: readonly MessagePort[];
  readonly capacity: number;
  onRoom: (() => void) | null = null;
  readonly gen: number;
  readonly #loop: NativeLoop;
  readonly #slot: number;
  /** Nothing is said here; that it closes lets the other thread forget its own. */
  readonly #port: MessagePort;
  readonly #shared: Int32Array;
  #given = 0;
  /** How many are under way at most. */
  #most = 0;
  #ended = false;

  constructor(loop: NativeLoop, capacity: number) {
    const slot = loop.addon.mailbox(capacity);
    if (slot < 0) throw failure('passage', -slot);
    this.#loop = loop;
    this.#slot = slot;
    this.gen = loop.ctl[CTL_GEN] as number;
    this.capacity = capacity;
    const detail = loop.idFound();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#shared = new Int32Array(shared);
    this.ticket = { transport: 'native', shared, port: port2, detail };
    this.transfer = [port2];
    loop.sockets.set(slot, this);
  }

  get waiting(): number {
    return this.#ended ? 0 : this.#loop.addon.waiting(this.#slot, this.gen);
  }

  get full(): boolean {
    // No more can be under way than were when it was last looked, with those that were given since.
    if (this.#most < this.capacity || this.#ended) return false;
    this.#most = this.waiting;
    return this.#most >= this.capacity;
  }

  get taken(): number {
    return this.#given - this.waiting;
  }

  /** Throws the system's code too: ENOMEM, when there is no memory for what was read. */
  give(channel: Channel, id: number, parcel?: Parcel): boolean {
    if (!(channel instanceof NativeChannel)) {
      const remote = formatAddress(channel.remote);
      throw new PortsideError(
        'ERR_PORTSIDE_UNSUPPORTED',
        `the native transport moves connections of its own only, in the clear, and that with ${remote} is none`,
        { op: 'give', remote },
      );
    }
    if (this.#ended) return false;
    const failed = channel.give(this.#slot, this.gen, id, parcel);
    if (failed === 0) {
      this.#given += 1;
      this.#most += 1;
      return true;
    }
    if (failed === -EAGAIN || failed === -EBUSY || failed === -EPIPE) return false;
    throw failure('give', -failed, { remote: formatAddress(channel.remote) });
  }

  /** Each channel comes back; null only where there is no memory for one. */
  end(): readonly Untaken[] {
    if (this.#ended) return [];
    const loop = this.#loop;
    const untaken: Untaken[] = [];
    Atomics.store(this.#shared, ENDED, 1);
    for (;;) {
      const slot = loop.addon.untaken(this.#slot, this.gen);
      if (slot === -EAGAIN) break;
      const id = loop.idFound();
      untaken.push({ id, channel: slot < 0 ? null : takenChannel(loop, slot, false) });
    }
    this.#ended = true;
    this.#given -= untaken.length;
    loop.sockets.delete(this.#slot);
    loop.addon.close(this.#slot, this.gen);
    this.#port.close();
    return untaken;
  }

  /** The core found that there is room again. */
  onReady(): void {
    try {
      this.onRoom?.();
    } catch (error) {
      rethrowSoon(error);
    }
  }
}

/** The other end of a {@link NativePassage}. `close()` resets nobody: who was not taken is told to the giver, or reset when that has gone. */
function arrivals(loop: NativeLoop, ticket: PassageTicket, address: Address, kernelQueue: boolean): Acceptor {
  if (ticket.transport !== 'native') {
    throw new PortsideError(
      'ERR_PORTSIDE_UNSUPPORTED',
      `the native transport can't take connections of the ${ticket.transport} transport`,
      { op: 'arrivals' },
    );
  }
  const slot = loop.addon.join(ticket.detail);
  if (slot === -ENOENT && Atomics.load(new Int32Array(ticket.shared), ENDED) === 0) {
    throw new ClosedError('the thread that would give connections has ended, or is of another process', {
      op: 'arrivals',
    });
  }
  if (slot === -EBUSY) {
    throw new PortsideError('ERR_PORTSIDE_STATE', 'the ticket was used before; a passage leads to one place', {
      op: 'arrivals',
    });
  }
  if (slot < 0 && slot !== -ENOENT) throw failure('arrivals', -slot);
  ticket.port.close();
  const acceptor = new Arrivals(loop, slot, loop.ctl[CTL_GEN] as number, address, kernelQueue);
  // Nobody comes through a passage that ended before its other end was opened.
  if (slot < 0) acceptor.close();
  return acceptor;
}

/** Takes what another thread gives. */
class Arrivals extends NativeAcceptor {
  override take(): Channel | null {
    const channel = super.take();
    if (channel instanceof NativeChannel) channel.given = this.loop.idFound();
    return channel;
  }
}

/** How connections of the native core move between the threads of a process. */
export function nativePassages(loop: NativeLoop): Passages {
  return {
    passage: (capacity) => new NativePassage(loop, capacity),
    arrivals: (ticket, address, kernelQueue) => arrivals(loop, ticket, address, kernelQueue),
  };
}

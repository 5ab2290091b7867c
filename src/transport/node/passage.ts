import type { Socket } from 'node:net';
import { MessageChannel } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { PortsideError } from '../../base/errors.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { formatAddress } from '../address.ts';
import type { Channel } from '../contract.ts';
import type { Passage, PassageTicket, Parcel as Along, Untaken } from '../passage.ts';
import { NodeChannel } from './channel.ts';
import { handleOf, leftBehind } from './internals.ts';

// What both threads see, as Int32. No thread ever waits for the other, so one that is ended in the middle of anything leaves it whole.

/** Twice the number of those that were taken, modulo 2³²; plus {@link ENDED}. */
export const TAKEN: number = 0;
/** In {@link TAKEN}: what is taken from now on was told as untaken already. */
export const ENDED: number = 1;
/** Not 0: the giver waits for room, and has a message to come. */
export const ASKED: number = 1;

/** One connection as it is posted: its number from 0 on, its socket, and its peer's host and port, the latter plus {@link SHUT}. */
export type Parcel = readonly [number: number, socket: Socket, host: string, port: number];

/** In the port of a {@link Parcel}: the output was ended. */
export const SHUT: number = 1 << 16;
/** In the port of a {@link Parcel}: it has the options that its listener asked for. */
export const TUNED: number = 1 << 17;

/** Milliseconds before a connection is tried again that found no descriptor. */
const PAUSE = 100;

/**
 * A way out of this thread for sockets of Node's. They travel as messages and can't be taken back: what was not taken is lost, and
 * {@link NodePassage.end} tells which. Node moves TCP sockets that were neither read nor written.
 */
export class NodePassage implements Passage {
  readonly ticket: PassageTicket;
  readonly transfer: readonly MessagePort[];
  readonly capacity: number;
  onRoom: (() => void) | null = null;
  readonly #port: MessagePort;
  readonly #counters: Int32Array;
  /** Under what each was given that is under way, at its number modulo the capacity. */
  readonly #ids: number[] = [];
  #given = 0;
  /** What is known of {@link TAKEN}. */
  #taken = 0;
  /** A `give` has found no room. */
  #asked = false;
  /** There is somebody at the other end. */
  #open = true;
  #ended = false;
  #retry: NodeJS.Timeout | null = null;

  /** @param capacity 1 or more. */
  constructor(capacity: number) {
    const { port1, port2 } = new MessageChannel();
    const shared = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
    this.capacity = capacity;
    this.#counters = new Int32Array(shared);
    this.#port = port1;
    this.ticket = { transport: 'node', shared, port: port2, detail: capacity };
    this.transfer = [port2];
    port1.on('message', () => this.#tellRoom());
    port1.on('close', () => {
      this.#open = false;
    });
    // Listening has referenced it.
    port1.unref();
  }

  get waiting(): number {
    return this.#given - this.taken;
  }

  get full(): boolean {
    return this.#open && !this.#hasRoom();
  }

  get taken(): number {
    if (!this.#ended) this.#learn(Atomics.load(this.#counters, TAKEN));
    return this.#taken;
  }

  /**
   * False too when the process has no descriptor to spare, which Node needs for a moment; `onRoom` comes some 100 milliseconds later then.
   * Throws ERR_PORTSIDE_UNSUPPORTED for all but fresh TCP connections of this transport: those that were neither read nor written.
   */
  give(channel: Channel, id: number, along?: Along): boolean {
    if (!NodeChannel.is(channel)) throw unsupported(channel, 'is none of node:net');
    const socket = channel.lend();
    if (socket === null) return false;
    if (!channel.fresh || along !== undefined) throw unsupported(channel, 'was read from, or has more to take along');
    const { remote } = channel;
    if (remote.family === 'unix' || remote.family === 'memory') throw unsupported(channel, 'is no TCP connection');
    if (!this.#open || !this.#hasRoom()) return false;
    const handle = handleOf(socket);
    const port = remote.port | (socket.writableEnded ? SHUT : 0) | (channel.tuned ? TUNED : 0);
    const parcel: Parcel = [this.#given, socket, remote.host, port];
    try {
      // The types know nothing of sockets there.
      this.#port.postMessage(parcel, [socket as unknown as MessagePort]);
    } catch (error) {
      const again = leftBehind(socket, handle);
      if (again !== null) channel.renew(again);
      throw unsupported(channel, 'was written to, or is no TCP connection', error);
    }
    const again = leftBehind(socket, handle);
    if (again !== null) {
      channel.renew(again);
      this.#pause();
      return false;
    }
    channel.gone();
    this.#ids[this.#given % this.capacity] = id;
    this.#given += 1;
    return true;
  }

  /** Whoever is told here is lost, channel null, and is or will be closed or reset: by the other thread, or by its end. */
  end(): readonly Untaken[] {
    if (this.#ended) return [];
    // In one step with reading the count: nobody is taken and told.
    this.#learn(Atomics.or(this.#counters, TAKEN, ENDED));
    this.#ended = true;
    this.#open = false;
    this.#asked = false;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#port.close();
    // Nothing, unless it was never sent: a port that nobody reads keeps what it got.
    this.ticket.port.close();
    const untaken: Untaken[] = [];
    for (let number = this.#taken; number < this.#given; number++) {
      untaken.push({ id: this.#ids[number % this.capacity]!, channel: null });
    }
    return untaken;
  }

  #learn(counter: number): void {
    this.#taken += ((counter >>> 1) - this.#taken) & 0x7fff_ffff;
  }

  #hasRoom(): boolean {
    if (this.#given - this.#taken < this.capacity || this.waiting < this.capacity) return true;
    Atomics.store(this.#counters, ASKED, 1);
    // Whoever was taken before the other thread could see that is seen here.
    if (this.waiting < this.capacity) return true;
    this.#asked = true;
    return false;
  }

  #pause(): void {
    this.#asked = true;
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#tellRoom();
    }, PAUSE);
    this.#retry.unref();
  }

  #tellRoom(): void {
    // A message may come for a question that was answered otherwise.
    if (!this.#asked || this.waiting >= this.capacity) return;
    this.#asked = false;
    try {
      this.onRoom?.();
    } catch (error) {
      rethrowSoon(error);
    }
  }
}

function unsupported(channel: Channel, why: string, cause?: unknown): PortsideError {
  const remote = formatAddress(channel.remote);
  return new PortsideError(
    'ERR_PORTSIDE_UNSUPPORTED',
    `node:net moves only fresh TCP connections of its own to another thread, and that with ${remote} ${why}`,
    { op: 'give', remote, cause },
  );
}

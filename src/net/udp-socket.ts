import { channel } from 'node:diagnostics_channel';
import type { Channel } from 'node:diagnostics_channel';
import { branded } from '../base/brand.ts';
import { ClosedError, PortsideError } from '../base/errors.ts';
import { bytes, checkValue, integer, string } from '../base/options.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import { makeEvt, none } from '../sync/evt.ts';
import type { Evt } from '../sync/evt.ts';
import type { Scope } from '../sync/scope.ts';
import { formatAddress } from '../transport/address.ts';
import type { Datagrams } from '../transport/node/datagram.ts';
import { familyOf, interfaceFor, parseUdpAddress } from './udp-address.ts';
import type { UdpAddress, UdpAddressLike } from './udp-address.ts';
import { UdpInbox } from './udp-inbox.ts';
import type { Datagram } from './udp-inbox.ts';
import type { UdpLimits } from './udp-options.ts';
import { UdpOutbox } from './udp-outbox.ts';

export type { Datagram } from './udp-inbox.ts';

const brand = branded<UdpSocket>('udp-socket');

/** `{ socket, error }`: the system reported something that belongs to no call, or a datagram of `trySend` failed. The socket goes on. */
const trouble: Channel = channel('portside.udp.trouble');

/** Milliseconds that `close` waits for datagrams that the kernel has not taken. */
const LINGER = 1_000;

const hops = integer({ min: 0, max: 255 });

let create: (socket: Datagrams, limits: UdpLimits, clock: Clock, scope: Scope | undefined) => UdpSocket;

/**
 * A bound UDP socket: datagrams are pulled from it, and sent to whom one likes.
 *
 * UDP promises nothing, and neither does this: a datagram may be lost, doubled or overtaken on its way. What comes while
 * nobody reads waits in an inbox of bounded size; when that is full the newest are dropped, and counted in
 * {@link UdpSocket.dropped}. The kernel drops more, uncounted, when the process itself is too slow.
 */
export class UdpSocket implements AsyncIterable<Datagram>, AsyncDisposable {
  readonly #socket: Datagrams;
  readonly #inbox: UdpInbox;
  readonly #outbox: UdpOutbox;
  readonly #clock: Clock;
  readonly #closed: Promise<void>;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #linger: TimerHandle | undefined;
  readonly #disown: (() => void) | undefined;

  static {
    brand.mark(this.prototype);
    create = (socket, limits, clock, scope) => new UdpSocket(socket, limits, clock, scope);
  }

  // Sockets come from `bindUdp`.
  private constructor(socket: Datagrams, limits: UdpLimits, clock: Clock, scope: Scope | undefined) {
    this.#socket = socket;
    this.#clock = clock;
    this.#inbox = new UdpInbox(limits.inboxDatagrams, limits.inboxBytes);
    this.#outbox = new UdpOutbox(socket, limits.outboxDatagrams, limits.outboxBytes);
    this.#disown = scope?.own({ what: `UDP socket ${formatAddress(socket.address)}`, drop: () => this.abort() });
    this.#closed = new Promise((resolve) => {
      socket.sink = {
        message: (data, remote) => this.#inbox.put({ data, remote }),
        trouble: (error) => this.#tell(error),
        close: () => {
          // However it came to be closed, nobody may be left waiting.
          void this.abort();
          resolve();
        },
      };
    });
  }

  /** The address really bound. Readable after close. */
  get local(): UdpAddress {
    return this.#socket.address;
  }

  /** How many datagrams came while the inbox was full, and were dropped. */
  get dropped(): number {
    return this.#inbox.dropped;
  }

  /** How many datagrams wait to be received. */
  get pending(): number {
    return this.#inbox.length;
  }

  /** Bytes that were sent but are not with the kernel yet. */
  get queuedBytes(): number {
    return this.#outbox.bytes;
  }

  /** Resolves when it is closed. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /**
   * The next datagram. Asked several times, it answers in order. Rejects with `signal.reason` when called off, and then has taken
   * nothing; with a {@link ClosedError} (`ERR_PORTSIDE_CLOSED`) when the socket is or gets closed; with `ERR_PORTSIDE_LIMIT` when 10,000 wait already.
   */
  receive(options?: { readonly signal?: AbortSignal | undefined }): Promise<Datagram> {
    if (this.#state !== 'open') return Promise.reject(this.#closedError('receive'));
    return this.#inbox.take(options?.signal);
  }

  /** Receives one after another until the socket is closed, on either side of a wait. `break` leaves it open. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram, undefined> {
    return {
      next: async () => {
        if (this.#state !== 'open') return { value: undefined, done: true };
        try {
          return { value: await this.#inbox.take(undefined), done: false };
        } catch (error) {
          if (this.#isClosed() && error instanceof ClosedError) return { value: undefined, done: true };
          throw error;
        }
      },
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Gives a datagram when it is chosen, and takes none when it isn't. A closed socket throws a {@link ClosedError}. */
  receiveEvt(): Evt<Datagram> {
    return makeEvt<Datagram>({
      take: () => {
        if (this.#state !== 'open') throw this.#closedError('receive');
        return this.#inbox.poll() ?? none;
      },
      watch: (wake) => this.#inbox.watch(wake),
    });
  }

  /**
   * Sends one datagram; a string goes as UTF-8. Resolves when it is with the kernel, which does not mean that it arrives.
   * Leave the bytes alone until then. A host name is looked up for each datagram; a numeric host is not.
   *
   * Rejects, and is never an unhandled rejection when nobody awaits it, with a PortsideError: the system's code
   * (`EMSGSIZE` above 65,507 bytes, `ENETUNREACH`, `EACCES` for a broadcast that was not allowed, `ENOTFOUND`, …), `EAFNOSUPPORT` when
   * the socket's family can't reach the remote's, `ERR_PORTSIDE_LIMIT` when more is on its way than the outbox allows,
   * `ERR_PORTSIDE_CLOSED`. None of these harms the socket. Throws when the arguments themselves are wrong (`ERR_PORTSIDE_OPTIONS`,
   * `ERR_PORTSIDE_ENDPOINT`, `ERR_PORTSIDE_SERVICE`).
   */
  send(data: Uint8Array | string, remote: UdpAddressLike): Promise<void> {
    const chunk = typeof data === 'string' ? Buffer.from(data) : checkValue('send', 'data', bytes(), data);
    const { host, port } = placeOf(remote);
    if (this.#state !== 'open') return quiet(this.#closedError('send'));
    return this.#outbox.send(chunk, host, port);
  }

  /**
   * Sends one datagram without a promise: true when it is on its way to the kernel, false when the outbox has no room. The bytes are
   * copied. The host is numeric. What the kernel refuses then is told on the diagnostics channel `portside.udp.trouble` and nowhere else.
   * Throws a {@link ClosedError} when the socket is closed, and what {@link UdpSocket.send} throws.
   */
  trySend(data: Uint8Array | string, remote: UdpAddressLike): boolean {
    const chunk = typeof data === 'string' ? Buffer.from(data) : checkValue('trySend', 'data', bytes(), data);
    const { host, port } = placeOf(remote);
    if (familyOf(host) === undefined) {
      throw new PortsideError(
        'ERR_PORTSIDE_ENDPOINT',
        `trySend: ${JSON.stringify(host)} is a name; look it up first, or use send()`,
        { op: 'send' },
      );
    }
    if (this.#state !== 'open') throw this.#closedError('send');
    if (!this.#outbox.hasRoom(chunk.length)) return false;
    // A copy, since without a promise nobody knows how long to leave the bytes alone.
    const copy = typeof data === 'string' ? chunk : new Uint8Array(chunk);
    this.#outbox.send(copy, host, port).catch((error: unknown) => this.#tell(error));
    return true;
  }

  /**
   * Joins a multicast group, on one interface (its name, or for IPv4 one of its addresses) or the system's choice; ends
   * with {@link UdpSocket.dropMembership} or with the socket. Throws with the system's code: `EINVAL` for what is no group,
   * `EADDRINUSE` when it is joined already, `ENODEV` when there is no such interface.
   */
  addMembership(group: string, iface?: string): void {
    checkValue('addMembership', 'group', string(), group);
    this.#open('addMembership').join(group, ifaceOf(iface, group));
  }

  /** Leaves a multicast group that was joined with the same arguments. Throws with the system's code: `EADDRNOTAVAIL` when it was not. */
  dropMembership(group: string, iface?: string): void {
    checkValue('dropMembership', 'group', string(), group);
    this.#open('dropMembership').leave(group, ifaceOf(iface, group));
  }

  /** How many routers a datagram to a group may pass, 0–255; 0 stays on this machine. At first 1. */
  setMulticastTtl(ttl: number): void {
    this.#open('setMulticastTtl').multicastTtl(checkValue('setMulticastTtl', 'ttl', hops, ttl));
  }

  /** Whether this machine hears what it sends to groups that it is in. At first it does. */
  setMulticastLoopback(on: boolean): void {
    this.#open('setMulticastLoopback').multicastLoopback(on);
  }

  /** The interface by which datagrams to groups leave: its name, or for IPv4 one of its addresses. Throws with the system's code. */
  setMulticastInterface(iface: string): void {
    checkValue('setMulticastInterface', 'iface', string(), iface);
    this.#open('setMulticastInterface').multicastInterface(interfaceFor(iface, this.local.family));
  }

  /** Whether datagrams may go to a broadcast address. At first they may not. */
  setBroadcast(on: boolean): void {
    this.#open('setBroadcast').broadcast(on);
  }

  /** How many routers a datagram to a single host may pass, 1–255. */
  setTtl(ttl: number): void {
    this.#open('setTtl').ttl(checkValue('setTtl', 'ttl', integer({ min: 1, max: 255 }), ttl));
  }

  /** The kernel's buffers (SO_RCVBUF, SO_SNDBUF) in bytes, as it accounts them: Linux tells twice what was asked for. */
  get bufferSizes(): { readonly receive: number; readonly send: number } {
    return this.#open('bufferSizes').buffers();
  }

  /** Sets the kernel's buffers in bytes; the kernel rounds them, and caps them without a word (`net.core.rmem_max`). */
  setBufferSizes(sizes: { readonly receive?: number | undefined; readonly send?: number | undefined }): void {
    this.#open('setBufferSizes').setBuffers(sizes);
  }

  /** Whether it keeps the process alive. On at first. */
  ref(on: boolean): void {
    this.#socket.ref(on);
  }

  /**
   * Closes it: what waits in the inbox is dropped, waiting receives reject with a {@link ClosedError}, and datagrams on their way are given a second to reach
   * the kernel. Idempotent.
   */
  close(): Promise<void> {
    if (this.#state !== 'open') return this.#closed;
    this.#state = 'closing';
    this.#inbox.close(this.#closedError('receive'));
    if (this.#outbox.idle) void this.abort();
    else {
      this.#linger = this.#clock.after(LINGER, () => void this.abort());
      this.#outbox.whenIdle(() => void this.abort());
    }
    return this.#closed;
  }

  /** Closes it at once; what the kernel has not taken is dropped, and its sends reject with a {@link ClosedError}. Idempotent. */
  abort(): Promise<void> {
    if (this.#state === 'closed') return this.#closed;
    this.#state = 'closed';
    this.#linger?.cancel();
    this.#disown?.();
    this.#inbox.close(this.#closedError('receive'));
    this.#outbox.close(this.#closedError('send'));
    this.#socket.close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(op: string): Datagrams {
    if (this.#state !== 'open') throw this.#closedError(op);
    return this.#socket;
  }

  #isClosed(): boolean {
    return this.#state !== 'open';
  }

  #tell(error: unknown): void {
    if (trouble.hasSubscribers) trouble.publish({ socket: this, error });
  }

  #closedError(op: string): ClosedError {
    return new ClosedError('the UDP socket is closed', { op, local: formatAddress(this.local) });
  }
}

/** A {@link UdpSocket} on a bound one of the transport, owned by `scope` when there is one. */
export function openUdpSocket(socket: Datagrams, limits: UdpLimits, clock: Clock, scope: Scope | undefined): UdpSocket {
  return create(socket, limits, clock, scope);
}

/** Whether a value is a {@link UdpSocket}, of this copy of the package or another. */
export function isUdpSocket(value: unknown): value is UdpSocket {
  return brand.is(value);
}

function placeOf(remote: UdpAddressLike): { host: string; port: number } {
  // Answers go to the `remote` of a datagram, which needs no second look.
  if (
    typeof remote === 'object' &&
    remote !== null &&
    typeof remote.port === 'number' &&
    remote.port > 0 &&
    remote.port <= 65_535
  ) {
    if (Number.isInteger(remote.port) && typeof remote.host === 'string' && familyOf(remote.host) !== undefined)
      return remote as UdpAddress;
  }
  const { host = 'localhost', port } = parseUdpAddress(remote, 'client', 'remote');
  return { host, port };
}

function ifaceOf(iface: string | undefined, group: string): string | undefined {
  return iface === undefined ? undefined : interfaceFor(iface, group.includes(':') ? 'ipv6' : 'ipv4');
}

function quiet(error: Error): Promise<never> {
  const rejected = Promise.reject(error);
  rejected.catch(() => {});
  return rejected;
}

/**
 * The contract between Portside and whatever carries bytes. Everything above
 * `transport/` is written against it, and one conformance suite
 * (`test/conformance/`) holds every backend to it.
 *
 * The rules, the same for all backends:
 *
 *  1. Nothing is read before flow is first turned on (TLS may have read ahead what came with its handshake, and keeps it). After it is turned off, no
 *     `data`, `end` or error of reading is told until it is turned on again, not
 *     even the rest of a batch that was read already.
 *  2. No callback (of a sink, a watcher or a dial) runs inside a call of the contract.
 *  3. A sink hears `data*`, then at most one `end`, and last of all exactly one
 *     `close`. Bytes that the backend has read come before the error that followed them, as long as flow is on.
 *  4. A sink that throws stops no other; what it threw goes to the process as an
 *     uncaught exception would, from a fresh stack, because it is a bug above.
 *  5. Writes leave in the order of the calls. The sender never changes bytes after
 *     `send`. A backend copies a borrowed view that it can't send at once.
 *  6. When both directions have ended in order and the output is with the kernel,
 *     the channel closes by itself with the reason `ended`.
 *  7. With flow off the peer's end or reset may go unnoticed until flow is on
 *     again or a write fails; then the channel closes with the reason `reset` or `failed`.
 *  8. Calls on a closed channel do nothing and return 0, null or undefined.
 */
import type { PortsideError } from '../base/errors.ts';
import type { Address } from './address.ts';
import type { Passages } from './passage.ts';
import type { TcpInfo } from './tcp-info.ts';

/** What a backend can do. The conformance suite keys on these, and nothing else, for what may differ. */
export interface TransportFlags {
  /** Connections that nobody has taken wait in the kernel, so `backlog` is the kernel's. */
  readonly kernelQueue: boolean;
  /** Several listeners may share one port by SO_REUSEPORT. */
  readonly reusePort: boolean;
  /** `destroy('reset')` sends RST, and a peer's RST is told apart from its FIN. */
  readonly reset: boolean;
  /** Fresh connections can be moved to another thread. */
  readonly transfer: boolean;
  /** Connections can be moved to another thread later in life, with unread bytes. */
  readonly handOver: boolean;
  /** TCP by host and port. */
  readonly tcp: boolean;
  /** Unix domain sockets. */
  readonly unix: boolean;
  /** Names in memory. */
  readonly memory: boolean;
  /** `release()` gives a file descriptor, or a Node socket that has one; `adopt` takes it. */
  readonly descriptors: boolean;
  /** `data` may be a view that is only valid during the call (`borrowed`). */
  readonly borrows: boolean;
}

/** Where to bind. Names are resolved above; hosts here are numeric. */
export type BindTarget =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** For `::`: leave IPv4 alone. */ readonly ipv6Only: boolean;
    }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'memory'; readonly name: string }
  | {
      readonly kind: 'fd';
      readonly fd: number;
      /** Where it is bound, as far as that is known: a descriptor alone does not tell a path everywhere. */
      readonly address?: Address | undefined;
    };

/** Options of connections that can be set for all of a listener's. */
export interface Tuning {
  /** TCP_NODELAY. */
  readonly noDelay: boolean;
  /** SO_KEEPALIVE with the idle time before the first probe in milliseconds, or false. */
  readonly keepAlive: number | false;
}

/** How a transport binds. */
export interface BindOptions {
  /** Connections that may wait, 1 or more. */
  readonly backlog: number;
  /** Share the port with other listeners that say so too (SO_REUSEPORT). */
  readonly reusePort: boolean;
  /** What all connections are to have from the beginning. A backend that can set it once for all does, and says so by {@link Channel.tuned}; others leave it to {@link Channel.set}. */
  readonly tuning?: Tuning | undefined;
  /** SO_REUSEADDR; undefined leaves the backend's habit. A backend that can't choose refuses `false` with ERR_PORTSIDE_UNSUPPORTED. */
  readonly reuseAddress: boolean | undefined;
}

/** Where to connect. Names are resolved above; hosts here are numeric. */
export type DialTarget =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly localHost: string | undefined;
      readonly localPort: number | undefined;
    }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'memory'; readonly name: string };

/** A connection being made. */
export interface Dial {
  /** The channel, or a {@link PortsideError} with the system's code (`ECONNREFUSED`, …), or ERR_PORTSIDE_ABORTED after `cancel`. */
  readonly result: Promise<Channel>;
  /** Calls it off. A socket that comes late is closed; nothing is left behind. Does nothing once there is a result. */
  cancel(): void;
}

/** A source and maker of channels. */
export interface Transport {
  /** `node`, `native`, `memory`, … */
  readonly name: string;
  readonly flags: TransportFlags;
  /**
   * Binds and listens; resolves when bound. Rejects with a {@link PortsideError} that keeps the system's code.
   * Nothing is accepted before `want(true)`, where the backend can leave it to the kernel.
   */
  listen(target: BindTarget, options: BindOptions): Promise<Acceptor>;
  /** Begins to connect. */
  dial(target: DialTarget): Dial;
  /** Takes over what another channel (of this or another backend) released. The unread bytes come first once flow is on. */
  adopt(released: Released): Channel;
  /** How its connections move between threads; undefined where they can't (`flags.transfer` and `flags.handOver` are off). */
  readonly passages?: Passages | undefined;
}

/** A bound, listening socket. */
export interface Acceptor {
  /** The address really bound; readable after close. */
  readonly address: Address;
  /** Whether unaccepted connections wait in the kernel (see {@link TransportFlags.kernelQueue}). */
  readonly kernelQueue: boolean;
  /** Who hears of it; set it before `want(true)`. */
  watcher: AcceptorWatcher | null;
  /**
   * The next connection, flow off, or null when there is none now, whether `want` is on or not. Errors of a single connection are passed over; trouble of the
   * process (no descriptors) goes to the watcher, and is retried with back-off. Without a kernel queue the system may close the client instead, and nobody hears of it.
   */
  take(): Channel | null;
  /** Whether a `take()` would give something now; consumes nothing. */
  pending(): boolean;
  /**
   * While on, the watcher's `ready` is called when there is something to take: soon after
   * turning on if something is there, when something comes, and again each turn of the loop while something is left.
   * Off, the backend makes no calls, and with a kernel queue accepts nothing.
   */
  want(on: boolean): void;
  /** Closes the port and resets what nobody took. Taken channels live on. Idempotent. */
  close(): void;
  /** Whether it keeps the process alive; true at first. */
  ref(on: boolean): void;
  /**
   * A descriptor more of the listening socket, which whoever asked for it owns: another thread listens on it by `{ kind: 'fd' }`, and clients that wait stay where they are while listeners come and go. Only where
   * several threads may own one socket each by itself (the native core). Throws the system's code.
   */
  share?(): number;
}

/** Who is told that there is something to take. */
export interface AcceptorWatcher {
  /** There is something to take. */
  ready(): void;
  /** Something of the process or the system stands in the way of accepting (EMFILE, ENFILE, ENOBUFS, ENOMEM); the acceptor goes on by itself. */
  trouble(error: PortsideError): void;
}

/** Why a channel closed. */
export type ChannelEnd =
  /** Both directions ended in order. */
  | { readonly kind: 'ended' }
  /** `destroy('flush')` on this side, everything sent. */
  | { readonly kind: 'closed' }
  /** `destroy('drop')` on this side; `unsent` bytes of output were dropped. */
  | { readonly kind: 'dropped'; readonly unsent: number }
  /** `destroy('reset')` on this side. */
  | { readonly kind: 'aborted' }
  /** The peer reset the connection (ECONNRESET, EPIPE). */
  | { readonly kind: 'reset'; readonly error: PortsideError }
  /** The network or the system failed it (ETIMEDOUT, EHOSTUNREACH, …). */
  | { readonly kind: 'failed'; readonly error: PortsideError };

/** Who hears what a channel reads. Replace `channel.sink` to detach, to start TLS, to hand over. */
export interface Sink {
  /**
   * Bytes arrived; never empty. When `borrowed`, they are valid only until this call
   * returns and have to be copied to be kept; else they are the taker's for ever.
   */
  data(bytes: Uint8Array, borrowed: boolean): void;
  /** Whether it keeps what it is given, so that lending only makes it copy: a backend that can gives it memory of its own instead. May change. */
  readonly keeps?: boolean | undefined;
  /** The peer ended its direction (FIN). Output goes on. */
  end(): void;
  /** Answers {@link Channel.wantWritable}: all output is with the kernel. */
  writable(): void;
  /** It is over. Comes once, and last. */
  close(end: ChannelEnd): void;
}

/** An option of a socket, with its value. */
export type SocketOption =
  /** TCP_NODELAY. */
  | { readonly kind: 'noDelay'; readonly on: boolean }
  /** SO_KEEPALIVE, with the idle time before the first probe in milliseconds. */
  | { readonly kind: 'keepAlive'; readonly on: boolean; readonly delay: number };

/** One connection. */
export interface Channel {
  /** Never null: a channel begins with a sink that ignores all but closes. Bytes don't come before flow is on. */
  sink: Sink;
  /** This side's address; made when asked for, readable after close if it was asked for before. */
  readonly local: Address;
  /** The peer's address, readable after close too. */
  readonly remote: Address;
  /** Bytes queued that are not with the kernel yet. */
  readonly queued: number;
  /** Where `queued` counts a piece that went out in part as a whole: a number that changes when the kernel takes some of it. */
  readonly progress?: number | undefined;
  /** Whether it is over: `close` was told, will be told with nothing more in between, or it was released. */
  readonly closed: boolean;
  /** Turns reading on or off. Cheap to repeat. */
  flow(on: boolean): void;
  /**
   * Queues bytes and returns how many are queued after it. Zero-length does nothing.
   * After `shutdown`, on a closed or destroyed channel, it does nothing and returns 0.
   */
  send(bytes: Uint8Array): number;
  /** `send` for each, left together (one system call where the backend can). */
  sendAll(chunks: readonly Uint8Array[]): number;
  /** Asks for one `sink.writable()` once `queued` is 0. Asking twice asks once. Comes soon, not within the call, when it is 0 already. */
  wantWritable(): void;
  /** Ends the output after what is queued (FIN). Idempotent. */
  shutdown(): void;
  /**
   * Ends the channel; no more `data` or `end` comes. Idempotent, except that `drop` and `reset` overtake a `flush` that is still sending.
   * `flush`: sends what is queued, then closes (bounded by who calls). `drop`: closes now, unsent output is
   * lost, counted in the end's `unsent`. `reset`: RST where there is one (TCP), else as `drop`. A piece that went out in part counts as a whole in `queued` and `unsent`.
   */
  destroy(how: 'flush' | 'drop' | 'reset'): void;
  /**
   * Gives the connection up whole: the channel forgets it, its sink hears nothing more (no `close` either), and the
   * caller owns what is returned. Null when it is closed, or has output that is not with the kernel (wait for `writable` first).
   * Under TLS it can't be had: what the connection is lies in the process's keys. It throws ERR_PORTSIDE_UNSUPPORTED.
   */
  release(): Released | null;
  /** Whether it has what {@link BindOptions.tuning} asked for. */
  readonly tuned?: boolean | undefined;
  /** Whether `send` may be given borrowed views, of whichever connection of this backend and thread, without a copy. */
  readonly takesLent?: boolean | undefined;
  /** What its giver sent along when it came through a passage, until somebody has read it; null, or left out, where nothing was. */
  letter?: Uint8Array | null | undefined;
  /** The number under which it came through a passage; 0, or left out, where it did not. */
  readonly given?: number | undefined;
  /** Sets an option; one that the kind of socket lacks is ignored. */
  set(option: SocketOption): void;
  /** How long sent data may go without an acknowledgement before the connection fails (TCP_USER_TIMEOUT), in milliseconds; 0 for the system's habit. Whether it could be set; left out where it never can. */
  userTimeout?(milliseconds: number): boolean;
  /** What the kernel knows about it; null, or left out, where it can't be had. */
  tcpInfo?(): TcpInfo | null;
  /**
   * Whether it keeps the process alive, true at first: while something can come of it, which is while it flows and the peer's end was not told, and while output is not with the
   * kernel. What reads ahead (node:net, TLS) may do so longer after a pause, until its peer ends.
   */
  ref(on: boolean): void;
}

/** A connection without an owner: what it is, and what was read of it but not consumed. */
export type Released = {
  /** Bytes read but not delivered, in order. */
  readonly unread: readonly Uint8Array[];
  /** The peer had ended its direction. */
  readonly ended: boolean;
} &
  /** A `net.Socket`, paused, without listeners of ours. Opaque here, so that only the backend needs `node:net`. */
  (
    | { readonly kind: 'socket'; readonly socket: object }
    | { readonly kind: 'fd'; readonly fd: number; readonly unix: boolean }
    | { readonly kind: 'memory'; readonly end: object }
  );

/** A sink for channels that nobody listens to yet. */
export const deafSink: Sink = {
  data() {},
  end() {},
  writable() {},
  close() {},
};

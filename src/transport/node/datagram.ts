import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket, SocketOptions } from 'node:dgram';
import { ClosedError, PortsideError } from '../../base/errors.ts';
import { formatAddress, tcpAddress } from '../address.ts';
import type { TcpAddress } from '../address.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { systemError } from '../system-error.ts';
import { hasReusePort } from './internals.ts';

/** Where and how to bind a UDP socket. Names are resolved above; the host is numeric and chooses the family. */
export interface DatagramBind {
  readonly host: string;
  readonly port: number;
  /** SO_REUSEADDR: several sockets may bind the port, for multicast. Default false. */
  readonly reuseAddress?: boolean | undefined;
  /** For `::`: leave IPv4 alone. Default false. */
  readonly ipv6Only?: boolean | undefined;
  /** SO_REUSEPORT: the kernel spreads datagrams over the sockets. Default false. */
  readonly reusePort?: boolean | undefined;
}

/** Who hears a datagram socket. */
export interface DatagramSink {
  /** A datagram came. The bytes, possibly none, are the taker's for ever. */
  message(bytes: Uint8Array, remote: TcpAddress): void;
  /** The system reported something, such as an unreachable port of an earlier send; the socket goes on. */
  trouble(error: PortsideError): void;
  /** It is closed. Comes once, and last. */
  close(): void;
}

/** Called when a datagram is with the kernel, or isn't. */
export type Sent = (error: PortsideError | null) => void;

const deaf: DatagramSink = { message() {}, trouble() {}, close() {} };

/** A bound UDP socket over node:dgram. No error of it is ever an unhandled event. */
export class Datagrams {
  sink: DatagramSink = deaf;
  /** The address really bound; readable after close. */
  readonly address: TcpAddress;
  readonly #socket: Socket;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { address, port } = socket.address();
    this.address = tcpAddress(address, port);
    socket.on('message', (bytes: Uint8Array, from: RemoteInfo) => {
      try {
        this.sink.message(bytes, tcpAddress(from.address, from.port));
      } catch (error) {
        rethrowSoon(error);
      }
    });
    socket.on('error', (error) => {
      try {
        this.sink.trouble(systemError('receive', error, { local: formatAddress(this.address) }));
      } catch (thrown) {
        rethrowSoon(thrown);
      }
    });
    socket.on('close', () => {
      this.#closed = true;
      try {
        this.sink.close();
      } catch (error) {
        rethrowSoon(error);
      }
    });
  }

  /**
   * Binds; resolves when bound. Set `sink` in the same turn, or the first datagrams are lost.
   * Rejects with a {@link PortsideError} that keeps the system's code.
   */
  static bind(options: DatagramBind): Promise<Datagrams> {
    const { host, port, reuseAddress = false, ipv6Only = false, reusePort = false } = options;
    const local = formatAddress(tcpAddress(host, port));
    if (reusePort && !hasReusePort()) {
      const why = `Node ${process.versions.node} on ${process.platform} can't share a port between sockets (SO_REUSEPORT)`;
      return Promise.reject(new PortsideError('ERR_PORTSIDE_UNSUPPORTED', why, { op: 'listen', local }));
    }
    return new Promise((resolve, reject) => {
      const v6 = host.includes(':');
      const creation: SocketOptions = {
        type: v6 ? 'udp6' : 'udp4',
        reuseAddr: reuseAddress,
        ipv6Only: v6 && ipv6Only,
        reusePort,
      };
      const socket = createSocket(creation);
      const failed = (error: Error): void => {
        socket.close();
        reject(systemError('listen', error, { local }));
      };
      socket.once('error', failed);
      // `exclusive`: in a cluster's worker the socket is the worker's own.
      socket.bind({ address: host, port, exclusive: true }, () => {
        socket.off('error', failed);
        resolve(new Datagrams(socket));
      });
    });
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes of datagrams that are not with the kernel yet. */
  get queued(): number {
    return this.#closed ? 0 : this.#socket.getSendQueueSize();
  }

  /**
   * Sends one datagram. The bytes are not to be changed until `sent` is called, from a fresh stack; it gets an error with
   * EMSGSIZE when they are too many, with ERR_PORTSIDE_CLOSED after close. Without `sent`, errors of the system are told as trouble.
   */
  send(bytes: Uint8Array, port: number, host: string, sent?: Sent): void {
    const remote = formatAddress(tcpAddress(host, port));
    const local = formatAddress(this.address);
    if (this.#closed) {
      if (sent !== undefined)
        process.nextTick(sent, new ClosedError('the UDP socket is closed', { op: 'send', local, remote }));
      return;
    }
    this.#socket.send(bytes, port, host, (error) => {
      const failed = error === null ? null : systemError('send', error, { local, remote });
      try {
        if (sent !== undefined) sent(failed);
        else if (failed !== null) this.sink.trouble(failed);
      } catch (thrown) {
        rethrowSoon(thrown);
      }
    });
  }

  /** Joins a multicast group, on one interface (its address) or the system's choice. Throws with the system's code. */
  join(group: string, iface?: string): void {
    this.#do('join', () => this.#socket.addMembership(group, iface));
  }

  /** Leaves a multicast group. */
  leave(group: string, iface?: string): void {
    this.#do('leave', () => this.#socket.dropMembership(group, iface));
  }

  /** How many routers a multicast datagram may pass, 0–255; 1 at first. */
  multicastTtl(hops: number): void {
    this.#do('multicastTtl', () => this.#socket.setMulticastTTL(hops));
  }

  /** Whether this machine hears its own multicasts; true at first. */
  multicastLoopback(on: boolean): void {
    this.#do('multicastLoopback', () => this.#socket.setMulticastLoopback(on));
  }

  /** The interface that multicasts leave by: an IPv4 address, or `::%eth0`. */
  multicastInterface(iface: string): void {
    this.#do('multicastInterface', () => this.#socket.setMulticastInterface(iface));
  }

  /** Whether datagrams may go to a broadcast address; false at first. */
  broadcast(on: boolean): void {
    this.#do('broadcast', () => this.#socket.setBroadcast(on));
  }

  /** How many routers a datagram may pass, 1–255. */
  ttl(hops: number): void {
    this.#do('ttl', () => this.#socket.setTTL(hops));
  }

  /** Sets the kernel's buffers, in bytes; the kernel may round, double or cap them. */
  setBuffers(sizes: { readonly receive?: number | undefined; readonly send?: number | undefined }): void {
    this.#do('setBuffers', () => {
      if (sizes.receive !== undefined) this.#socket.setRecvBufferSize(sizes.receive);
      if (sizes.send !== undefined) this.#socket.setSendBufferSize(sizes.send);
    });
  }

  /** The kernel's buffers in bytes, as it accounts them. */
  buffers(): { readonly receive: number; readonly send: number } {
    return this.#do('buffers', () => ({
      receive: this.#socket.getRecvBufferSize(),
      send: this.#socket.getSendBufferSize(),
    }));
  }

  /** Whether it keeps the process alive; true at first. */
  ref(on: boolean): void {
    if (this.#closed) return;
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Closes it; datagrams that are not with the kernel are lost. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  #do<T>(op: string, act: () => T): T {
    const local = formatAddress(this.address);
    if (this.#closed) throw new ClosedError('the UDP socket is closed', { op, local });
    try {
      return act();
    } catch (error) {
      throw systemError(op, error, { local });
    }
  }
}

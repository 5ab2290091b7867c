import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Address } from '../address.ts';
import type { Channel, Released, SocketOption } from '../contract.ts';
import { NativeChannel } from '../native/channel.ts';
import { NodeChannel } from '../node/channel.ts';
import { takenBy } from '../node/internals.ts';
import { nodeTransport } from '../node/transport.ts';
import { ChannelStream } from './channel-stream.ts';

/** What a TLS connection runs over, and what is asked of it past TLS. */
export interface Carrier {
  readonly stream: Duplex;
  readonly local: Address;
  readonly remote: Address;
  /** A number that changes when the kernel takes some output. */
  readonly progress: number;
  /** Ends it at once; with RST where there is one. */
  reset(): void;
  set(option: SocketOption): void;
  ref(on: boolean): void;
}

/** Whether a channel can give up a socket that `node:tls` drives itself, without a stream in between. */
export function hasSocket(channel: Channel): boolean {
  return (
    (channel instanceof NodeChannel && channel.release === NodeChannel.prototype.release) ||
    channel instanceof NativeChannel
  );
}

/**
 * Takes a channel over whole. Null when it can't be had: it is closed, its output is ended, or its peer's; or, where it gives up
 * its socket, when output is still queued.
 *
 * @param early What was read of it before; it comes first.
 */
export function carry(channel: Channel, early: readonly Uint8Array[]): Carrier | null {
  if (!hasSocket(channel)) return channel.closed ? null : new ChannelCarrier(channel, early);
  const { local, remote } = channel;
  let released = channel.release();
  // A descriptor becomes a socket of Node's, once for the connection: what TLS reads and writes goes there.
  if (released?.kind === 'fd') released = socketOf(released);
  if (released?.kind !== 'socket') return null;
  const socket = released.socket as Socket;
  if (released.ended) {
    socket.destroy();
    return null;
  }
  // node:tls begins with what the socket's buffer holds.
  for (const bytes of [...early, ...released.unread].reverse())
    if (bytes.length > 0) socket.unshift(Buffer.from(bytes));
  return new SocketCarrier(socket, local, remote);
}

function socketOf(given: Extract<Released, { kind: 'fd' }>): Released | null {
  let adopted: Channel;
  try {
    adopted = nodeTransport.adopt({ ...given, unread: [] });
  } catch (error) {
    closeSync(given.fd);
    throw error;
  }
  const released = adopted.release();
  return released === null ? null : { ...released, unread: given.unread, ended: given.ended };
}

class SocketCarrier implements Carrier {
  readonly stream: Socket;
  readonly local: Address;
  readonly remote: Address;

  constructor(stream: Socket, local: Address, remote: Address) {
    this.stream = stream;
    this.local = local;
    this.remote = remote;
  }

  get progress(): number {
    return takenBy(this.stream);
  }

  reset(): void {
    if (this.stream.destroyed) return;
    if (this.stream.remoteFamily === undefined) this.stream.destroy();
    else this.stream.resetAndDestroy();
  }

  set(option: SocketOption): void {
    if (option.kind === 'noDelay') this.stream.setNoDelay(option.on);
    else this.stream.setKeepAlive(option.on, option.delay);
  }

  ref(on: boolean): void {
    if (on) this.stream.ref();
    else this.stream.unref();
  }
}

class ChannelCarrier implements Carrier {
  readonly stream: ChannelStream;
  readonly local: Address;
  readonly remote: Address;
  readonly #channel: Channel;

  constructor(channel: Channel, early: readonly Uint8Array[]) {
    this.#channel = channel;
    this.local = channel.local;
    this.remote = channel.remote;
    this.stream = new ChannelStream(channel, early);
  }

  get progress(): number {
    return (this.#channel.progress ?? 0) + this.#channel.queued;
  }

  reset(): void {
    this.stream.reset();
  }

  set(option: SocketOption): void {
    this.#channel.set(option);
  }

  ref(on: boolean): void {
    this.#channel.ref(on);
  }
}

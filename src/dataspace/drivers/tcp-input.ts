import type { PortsideError } from '../../base/errors.ts';
import { sendTracked } from '../self.ts';
import type { Self } from '../self.ts';
import { tcpChannel } from './tcp-channel.ts';
import type { TcpLocal } from './tcp-channel.ts';
import { misuse } from './tcp-failure.ts';
import type { TcpListener, TcpPeer } from './tcp-places.ts';

/** The connection that something comes in by. */
export interface TcpInputHost {
  readonly self: Self;
  readonly local: TcpLocal;
  readonly remote: TcpPeer;
  /** A number that changes when a subscriber comes or goes. */
  readonly sight: number;
  /** Looks whether to read. */
  flow(): void;
  /** Asks for a turn, in which `deliver` is called. */
  soon(): void;
}

/** What a connection reads, on its way into the space. */
export interface TcpInput {
  /** Whether more may be read. */
  readonly wants: boolean;
  /** Whether there is nothing that was not sent. */
  readonly empty: boolean;
  /** Bytes came; not in a turn. */
  push(bytes: Uint8Array): void;
  /** No more will come. */
  end(): void;
  /** Sends what may be sent, in a turn, while a subscriber is there; false when there was nothing. */
  deliver(): boolean;
  /** Somebody said how much may be read; gives what is wrong with that. */
  control(body: unknown): PortsideError | null;
}

/** Sends what comes as it comes, and wants no more than a limit at a time. */
export class TcpStream implements TcpInput {
  readonly #host: TcpInputHost;
  readonly #limit: number;
  #waiting: Uint8Array[] = [];
  /** Sent, but for nobody: a subscriber had gone, and it was not known yet. */
  #missed: Uint8Array[] = [];
  #missedAt = -1;
  /** Bytes that somebody has before them, or that wait here. */
  #untaken = 0;

  constructor(host: TcpInputHost, limit: number) {
    this.#host = host;
    this.#limit = limit;
  }

  get wants(): boolean {
    return this.#untaken <= this.#limit;
  }

  get empty(): boolean {
    return this.#waiting.length === 0 && this.#missed.length === 0;
  }

  push(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#untaken += bytes.length;
  }

  end(): void {
    // What there is is sent anyhow.
  }

  deliver(): boolean {
    if (this.empty) return false;
    const again = this.#missed;
    const fresh = this.#waiting;
    // Where the same subscribers are there still, it is for none of them, and never will be.
    const last = this.#missedAt === this.#host.sight;
    this.#missed = [];
    this.#waiting = [];
    for (const bytes of again) this.#send(bytes, last);
    for (const bytes of fresh) this.#send(bytes, false);
    return true;
  }

  control(): PortsideError {
    return misuse('ERR_PORTSIDE_STATE', 'the connection has no credit; say so in its listener or handle');
  }

  #send(bytes: Uint8Array, last: boolean): void {
    const { self, remote, local } = this.#host;
    const taken = (): void => this.#taken(bytes.length);
    const missed = last ? taken : (): void => this.#miss(bytes);
    sendTracked(self, tcpChannel(remote, local as TcpListener, bytes), taken, missed);
  }

  #taken(length: number): void {
    this.#untaken -= length;
    if (this.#untaken + length > this.#limit) this.#host.flow();
  }

  #miss(bytes: Uint8Array): void {
    if (this.#missed.length === 0) {
      this.#missedAt = this.#host.sight;
      this.#host.soon();
    }
    this.#missed.push(bytes);
  }
}

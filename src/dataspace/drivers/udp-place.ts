import { isPortsideError } from '../../base/errors.ts';
import { Fifo } from '../../sync/fifo.ts';
import { systemError } from '../../transport/system-error.ts';
import type { EndReason } from '../reasons.ts';
import type { Datum } from '../topic-types.ts';
import type { UdpLocal, UdpPeer } from './udp-topics.ts';

/** A packet that somebody wants to have sent. The body is what was given, be it right or wrong. */
export interface OutgoingPacket {
  readonly remote: UdpPeer;
  readonly body: Uint8Array | string;
}

/** Why there is no socket, or why a packet could not be sent. */
export interface UdpFailure {
  readonly code: string;
  readonly message: string;
}

/** What packets are sent by. */
export interface PacketSender {
  /** Whether it can take packets: it is bound, and not about to be closed. */
  readonly ready: boolean;
  /** Never throws: what can't be sent is told. */
  send(packet: OutgoingPacket): void;
}

/** How much may wait until the socket is there. */
export interface WaitingLimits {
  readonly packets: number;
  readonly bytes: number;
}

/** One local place: who wants it, what waits for its socket, and by what it is served. */
export class UdpPlace {
  readonly local: UdpLocal;
  readonly key: string;
  /** How many participants there are. */
  wanted = 0;
  sender: PacketSender | undefined;
  /** Why it was given up; as long as that is told. */
  failure: UdpFailure | undefined;
  readonly #limits: WaitingLimits;
  readonly #waiting = new Fifo<OutgoingPacket>();
  #bytes = 0;

  constructor(local: UdpLocal, key: string, limits: WaitingLimits) {
    this.local = local;
    this.key = key;
    this.#limits = limits;
  }

  /** Whether nothing has to be remembered of it. */
  get idle(): boolean {
    return this.wanted === 0 && this.sender === undefined && this.failure === undefined;
  }

  /** Whether packets wait for the socket. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends a packet or lets it wait; gives why it can do neither. */
  send(packet: OutgoingPacket): UdpFailure | undefined {
    if (this.sender?.ready === true) {
      this.sender.send(packet);
      return undefined;
    }
    if (this.failure !== undefined) return this.failure;
    const { packets, bytes } = this.#limits;
    const size = sizeOf(packet);
    if (this.#waiting.length >= packets || this.#bytes + size > bytes) {
      const message = `${this.#waiting.length} packets (${this.#bytes} bytes) wait already for the socket to be bound`;
      return { code: 'ERR_PORTSIDE_LIMIT', message };
    }
    this.#bytes += size;
    this.#waiting.push(packet);
    return undefined;
  }

  /** Takes out what waits, the oldest first. */
  takeWaiting(): OutgoingPacket[] {
    const all: OutgoingPacket[] = [];
    for (let one = this.#waiting.shift(); one !== undefined; one = this.#waiting.shift()) all.push(one);
    this.#bytes = 0;
    return all;
  }
}

// The length of a text in UTF-16 units is near enough to bound what is kept.
function sizeOf({ body }: OutgoingPacket): number {
  return typeof body === 'string' || body instanceof Uint8Array ? body.length : 0;
}

/** What went wrong, for those who are told. */
export function toFailure(error: unknown): UdpFailure {
  const { code, message } = isPortsideError(error) ? error : systemError('send', error);
  return { code, message };
}

/** A failure as the reason by which an actor quits; {@link whyEnded} reads it. */
export function toReason({ code, message }: UdpFailure): Datum {
  return [code, message];
}

/** Why the actor of a socket has ended. */
export function whyEnded(reason: EndReason): UdpFailure {
  if (reason.kind === 'failed') return { code: reason.error.code ?? 'UNKNOWN', message: reason.error.message };
  if (reason.kind === 'quit' && Array.isArray(reason.detail)) {
    const [code, message] = reason.detail as readonly Datum[];
    if (typeof code === 'string' && typeof message === 'string') return { code, message };
  }
  return { code: 'ERR_PORTSIDE_ABORTED', message: 'the actor of the socket was told to quit' };
}

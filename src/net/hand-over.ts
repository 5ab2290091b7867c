import { DefaultDeserializer, DefaultSerializer } from 'node:v8';
import { PortsideError } from '../base/errors.ts';
import type { ProxyHeader } from '../codec/proxy-header.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import { closedError, mustBeIdle } from './link-errors.ts';
import { ABANDONED, INPUT_CLOSED } from './link-state.ts';
import type { Link } from './link.ts';

/** How a connection came from another worker: see {@link Connection.handOver}. */
export interface HandedOver<Value = unknown> {
  /** The worker that had it, by its index. */
  readonly from: number;
  /** The worker that it was meant for; this one, unless that was gone. */
  readonly to: number;
  /** A copy of what came along. */
  readonly value: Value;
}

/** What a letter says to those who pass the connection on. */
export interface LetterHead {
  readonly from: number;
  readonly to: number;
  /** The endpoint that it came to, by its number. */
  readonly place: number;
  /** Under which client it is counted; null where it is not. */
  readonly client: string | null;
  /** Milliseconds since it was accepted, when it left. */
  readonly age: number;
  /** When it left, by `performance.now()`, which counts from the start of the process in every thread. */
  readonly left: number;
}

/** What a letter says to who takes the connection. */
interface LetterBody {
  readonly value: unknown;
  /** Whether its handler handed it over, and there is a value; else nobody had begun to serve it. */
  readonly served: boolean;
  readonly proxy: ProxyHeader | null;
  /** The peer by its header; null where its socket tells it. */
  readonly remote: Address | null;
  /** Whether its first byte has come. */
  readonly heard: boolean;
}

/** What a connection that was handed over came with. */
export interface Arrival extends LetterBody {
  /** Null for one that nobody had begun to serve. */
  readonly handedOver: HandedOver | null;
  /** Milliseconds since it was accepted. */
  readonly age: number;
  readonly client: string | null;
}

/** In the place of a value: nobody has begun to serve the connection. */
export const UNSERVED: unique symbol = Symbol('unserved');

/** Bytes that a value may take with it. */
const MOST_BYTES = 1_048_576;
/** Bytes of the head's length, in front of it. */
const LENGTH = 4;

function packed(value: unknown): Uint8Array {
  const serializer = new DefaultSerializer();
  serializer.writeHeader();
  serializer.writeValue(value);
  return serializer.releaseBuffer();
}

function unpacked(bytes: Uint8Array): unknown {
  const deserializer = new DefaultDeserializer(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

/**
 * What goes along with a connection as it is now, but for its head. Throws ERR_PORTSIDE_OPTIONS for a value that can't be copied, and ERR_PORTSIDE_LIMIT for one that takes more than 1 MiB.
 */
export function letterBody(link: Link, value: unknown): Uint8Array {
  const { proxy, remote } = link.life;
  const heard = link.received > 0;
  let body: Uint8Array;
  try {
    const served = value !== UNSERVED;
    const parts: LetterBody = { value: served ? value : undefined, served, proxy, remote, heard };
    body = packed(parts);
  } catch (cause) {
    // The message quotes a function with all of its source.
    const why = cause instanceof Error ? `: ${cause.message.slice(0, 80)}` : '';
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', `handOver: the value can't be copied to another worker${why}`, {
      ...link.detail('handOver'),
      cause,
    });
  }
  if (body.length <= MOST_BYTES) return body;
  throw new PortsideError(
    'ERR_PORTSIDE_LIMIT',
    `handOver: the value takes ${body.length} bytes, and may take ${MOST_BYTES}`,
    link.detail('handOver'),
  );
}

/** A letter of its two parts. */
export function letterOf(head: LetterHead, body: Uint8Array): Uint8Array {
  const first = packed(head);
  const letter = new Uint8Array(LENGTH + first.length + body.length);
  new DataView(letter.buffer).setUint32(0, first.length);
  letter.set(first, LENGTH);
  letter.set(body, LENGTH + first.length);
  return letter;
}

function lengthOfHead(letter: Uint8Array): number {
  return new DataView(letter.buffer, letter.byteOffset).getUint32(0);
}

/** What those who pass a connection on have to know. */
export function headOf(letter: Uint8Array): LetterHead {
  return unpacked(letter.subarray(LENGTH, LENGTH + lengthOfHead(letter))) as LetterHead;
}

/** Makes a new connection the one that it was in another worker. It is to be held to its deadlines afterwards, by its age. */
export function arrive(link: Link, letter: Uint8Array): Arrival {
  const { from, to, client, age: then, left } = headOf(letter);
  const age = then + Math.max(0, performance.now() - left);
  const body = unpacked(letter.subarray(LENGTH + lengthOfHead(letter))) as LetterBody;
  const arrival: Arrival = { ...body, client, age, handedOver: body.served ? { from, to, value: body.value } : null };
  const { life } = link;
  life.arrival = arrival;
  life.proxy = body.proxy;
  life.remote = body.remote;
  return arrival;
}

/** The error for a connection that no worker serves. */
export function noWorker(link: Link): PortsideError {
  if (link.closing) return closedError(link, 'handOver');
  const why = 'no worker of a parallel listener serves the connection, and only those hand over';
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', why, link.detail('handOver'));
}

/** Throws where a connection can't be handed over as it is. */
export function mustBeWhole(link: Link): void {
  if (link.closing) throw closedError(link, 'handOver');
  const detail = link.detail('handOver');
  if (link.opening)
    throw new PortsideError('ERR_PORTSIDE_STATE', 'the handshakes of the connection are under way', detail);
  if (link.connection.tls !== null) {
    throw new PortsideError(
      'ERR_PORTSIDE_UNSUPPORTED',
      'a connection under TLS can’t be handed over: its keys stay in the worker that shook hands',
      detail,
    );
  }
  mustBeIdle(link, 'handOver');
  if (link.consumer !== null && link.consumer.takeBack === undefined) {
    throw new PortsideError(
      'ERR_PORTSIDE_READ_BUSY',
      'a pipe or stream has the connection, and it can’t be handed over under it',
      detail,
    );
  }
  if (link.outputEnded || (link.state & (INPUT_CLOSED | ABANDONED)) !== 0) {
    throw new PortsideError(
      'ERR_PORTSIDE_STATE',
      'one of its directions was ended on this side, so that nothing is left to hand over but its end',
      detail,
    );
  }
}

/**
 * Gives the channel away by `give`, with what was read and not consumed; `left` runs when it is gone, before anybody hears that the connection is over on this side. False: it is not gone,
 * and all is as before. Throws as `give` does, and then too.
 */
export function depart(
  link: Link,
  give: (channel: Channel, unread: readonly Uint8Array[]) => boolean,
  left: () => void,
): boolean {
  const { consumer } = link;
  link.pauseInput();
  const held = consumer?.giveBack?.() ?? [];
  const waiting = link.takeUnread();
  const unread = [...held, ...waiting];
  let gone = false;
  try {
    gone = give(link.channel, unread);
  } finally {
    if (!gone) {
      for (const chunk of waiting.toReversed()) link.input.unread(chunk);
      consumer?.takeBack?.(link.connection, held);
    }
  }
  if (!gone) return false;
  // They are read there once more.
  for (const chunk of unread) link.received -= chunk.length;
  left();
  link.owner = null;
  link.giveUp({ kind: 'released' });
  return true;
}

/** Callbacks are called no more while it is being handed over. */
export function holdBack(link: Link): void {
  if (link.consumer !== null) link.hold(true);
}

/** It was not handed over: callbacks go on. */
export function goOn(link: Link): void {
  const { consumer, connection } = link;
  if (consumer === null || link.closing) return;
  link.hold(false);
  while (link.consumer === consumer && !link.rests && link.unreadBytes > 0)
    consumer.data(connection, link.input.take() as Uint8Array);
  consumer.takeBack?.(connection, []);
}

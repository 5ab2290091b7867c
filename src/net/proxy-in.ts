import { ClosedError, PortsideError, isPortsideError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { byteCount, list, milliseconds, object, oneOf, required } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import { ByteQueue } from '../codec/byte-queue.ts';
import { more } from '../codec/codec.ts';
import { PROXY_MARK, ProxyHeaderDecoder, couldBeProxyHeader } from '../codec/proxy-header.ts';
import type { ProxyHeader, ProxyHeaderOptions } from '../codec/proxy-header.ts';
import type { Clock } from '../sync/clock.ts';
import { Deadline } from '../sync/deadline.ts';
import { formatAddress, tcpAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import { deafSink } from '../transport/contract.ts';
import { copyOf } from '../transport/own-bytes.ts';
import type { Channel, ChannelEnd, Sink } from '../transport/contract.ts';
import { AddressList, addressListRule } from './address-list.ts';
import { deferred } from './deferred.ts';
import type { Deferred } from './deferred.ts';

/** Whose PROXY headers are believed, and how long they may take. */
export interface ProxyOptions {
  /**
   * The proxies: addresses, CIDRs, and the words of an {@link AddressList} (`loopback`, `private`, `unix`, …). Whoever
   * connects from there can say that it is anybody.
   */
  readonly from: readonly string[];
  /**
   * `require`: every connection comes from one of them and begins with a header; others are refused. `optional`:
   * connections from elsewhere pass as they are, with nothing read, and those from a listed address may begin with something
   * else. @default 'require'
   */
  readonly mode?: 'require' | 'optional' | undefined;
  /** Milliseconds for the header, from when it is waited for. @default 5000 */
  readonly timeout?: number | undefined;
  /** The versions that are taken. @default [1, 2] */
  readonly versions?: readonly (1 | 2)[] | undefined;
  /** The longest header of version 2, in bytes, 107 to 65551; those of version 1 never have more than 107. @default 4096 */
  readonly maxLength?: number | undefined;
}

/** What {@link ProxyOptions} have to be. */
export const proxyRule: Rule<ProxyOptions> = object(
  {
    from: required(addressListRule),
    mode: oneOf('require', 'optional'),
    timeout: milliseconds({ min: 1 }),
    versions: list(oneOf(1, 2), { min: 1, max: 2 }),
    maxLength: byteCount({ min: 107, max: 65_551 }),
  },
  ({ from }, problem) => {
    if (from.length === 0) problem('from', 'must name one proxy or more, since nobody else is believed');
  },
);

/** {@link ProxyOptions} made ready, for all connections of a listener. */
export interface ProxyIn {
  readonly from: AddressList;
  readonly required: boolean;
  /** Milliseconds. */
  readonly timeout: number;
  readonly decoding: ProxyHeaderOptions;
}

/** Makes options that were checked ready for use. */
export function compileProxy(options: ProxyOptions): ProxyIn {
  const { from, mode = 'require', timeout = 5_000, versions, maxLength } = options;
  return {
    from: new AddressList(from),
    required: mode === 'require',
    timeout,
    decoding: Object.freeze({ versions: versions === undefined ? undefined : [...versions], maxLength }),
  };
}

/** What was found at the beginning of a connection. */
export interface ProxyResult {
  /** Null when there is none and none was required. */
  readonly header: ProxyHeader | null;
  /** What was read behind the header, or instead of it, in order. It is the taker's. */
  readonly rest: readonly Uint8Array[];
  /** The peer's end was seen with it, and won't be told again. */
  readonly ended: boolean;
}

/** A header being waited for. */
export interface ProxyRead {
  /**
   * Rejects with ERR_PORTSIDE_PROXY_HEADER (missing, wrong, or of a peer that isn't listed), ERR_PORTSIDE_TIMEOUT,
   * ERR_PORTSIDE_UNEXPECTED_END (the peer ended before), what the connection failed with (`ECONNRESET`, …), `ClosedError` when this side destroyed it, or
   * ERR_PORTSIDE_ABORTED after `cancel`. Nobody has to look.
   */
  readonly result: Promise<ProxyResult>;
  /** Calls it off. Does nothing once there is a result. */
  cancel(): void;
}

const nothing: ProxyResult = Object.freeze({ header: null, rest: Object.freeze([]), ended: false });

/**
 * Reads the PROXY header at the beginning of a connection whose flow is off and of which nothing was read.
 *
 * It is the channel's sink meanwhile, and has flow on only then. When there is a result, of either kind, flow is off and the sink a deaf
 * one: take the channel over in the turn in which the promise is settled. No more than the longest header and one chunk are kept.
 *
 * From an address that isn't listed nothing is read: that is an error when a header is required, and else no header.
 */
export function readProxyHeader(channel: Channel, proxy: ProxyIn, clock: Clock): ProxyRead {
  return new HeaderReader(channel, proxy, clock);
}

class HeaderReader implements Sink, ProxyRead {
  readonly #channel: Channel;
  readonly #proxy: ProxyIn;
  readonly #settled: Deferred<ProxyResult> = deferred();
  readonly #queue: ByteQueue = new ByteQueue();
  readonly #decoder: ProxyHeaderDecoder;
  readonly #deadline: Deadline | null;
  /** Whether it is known that there is a header. */
  #certain: boolean;
  #over = false;

  constructor(channel: Channel, proxy: ProxyIn, clock: Clock) {
    this.#channel = channel;
    this.#proxy = proxy;
    this.#certain = proxy.required;
    this.#decoder = new ProxyHeaderDecoder(proxy.decoding);
    const listed = proxy.from.hasAddress(channel.remote);
    if (!listed || channel.closed) {
      this.#deadline = null;
      if (listed) this.#refuse('ERR_PORTSIDE_UNEXPECTED_END', 'the connection was over before its PROXY header');
      else this.#stranger();
      return;
    }
    this.#deadline = new Deadline(clock, () => {
      this.#refuse('ERR_PORTSIDE_TIMEOUT', `no PROXY header came within ${proxy.timeout} ms`);
    });
    this.#deadline.arm(proxy.timeout);
    channel.sink = this;
    channel.flow(true);
  }

  get result(): Promise<ProxyResult> {
    return this.#settled.promise;
  }

  cancel(): void {
    this.#refuse('ERR_PORTSIDE_ABORTED', 'the reading of the PROXY header was called off');
  }

  data(bytes: Uint8Array, borrowed: boolean): void {
    if (this.#over) return;
    this.#queue.append(borrowed ? copyOf(bytes) : bytes);
    if (!this.#certain) {
      const could = couldBeProxyHeader(this.#queue.peek(Math.min(this.#queue.length, PROXY_MARK)));
      if (could === 'no') this.#give(null, false);
      if (could !== 'yes') return;
      this.#certain = true;
    }
    this.#decode(false);
  }

  end(): void {
    if (this.#over) return;
    if (this.#certain) this.#decode(true);
    else this.#give(null, true);
  }

  writable(): void {}

  close(end: ChannelEnd): void {
    if ('error' in end) this.#fail(end.error);
    else this.#fail(new ClosedError('the connection was closed on this side', this.#detail()));
  }

  #decode(ended: boolean): void {
    try {
      const header = ended ? this.#decoder.end(this.#queue) : this.#decoder.decode(this.#queue);
      if (header !== more) this.#give(header, false);
    } catch (error) {
      if (!isPortsideError(error)) throw error;
      this.#refuse(error.code, error.message, error);
    }
  }

  #stranger(): void {
    if (!this.#proxy.required) {
      this.#over = true;
      this.#settled.resolve(nothing);
      return;
    }
    const text = 'only the proxies that are listed may connect here, and this address is not among them';
    this.#refuse('ERR_PORTSIDE_PROXY_HEADER', text);
  }

  #give(header: ProxyHeader | null, ended: boolean): void {
    this.#finish();
    const rest: Uint8Array[] = [];
    while (this.#queue.length > 0) rest.push(this.#queue.takeChunk());
    this.#settled.resolve({ header, rest, ended });
  }

  #refuse(code: ErrorCode, what: string, cause?: PortsideError): void {
    if (this.#over) return;
    const detail = this.#detail();
    this.#fail(new PortsideError(code, `${detail.remote}: ${what}`, { ...detail, cause }));
  }

  #fail(error: PortsideError): void {
    if (this.#over) return;
    this.#finish();
    this.#queue.skip(this.#queue.length);
    this.#settled.reject(error);
  }

  #finish(): void {
    this.#over = true;
    this.#deadline?.disarm();
    this.#channel.flow(false);
    this.#channel.sink = deafSink;
  }

  #detail(): { readonly op: string; readonly local: string; readonly remote: string } {
    const { local, remote } = this.#channel;
    return { op: 'proxy', local: formatAddress(local), remote: formatAddress(remote) };
  }
}

/**
 * Who the client is by a header: null for one that doesn't tell (LOCAL, UNKNOWN, no known family), so that the socket's own address holds.
 * IPv4-mapped IPv6 becomes the IPv4 that it carries, as in all addresses.
 */
export function effectiveRemote(header: ProxyHeader): Address | null {
  const { source } = header;
  if (source === null || source.family === 'unix') return source;
  return tcpAddress(source.host, source.port);
}

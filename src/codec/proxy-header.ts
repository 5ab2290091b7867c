import { byteCount, check, list, oneOf, table } from '../base/options.ts';
import { PortsideError } from '../base/errors.ts';
import { show } from '../base/show.ts';
import { addressWords } from './address-words.ts';
import type { ByteQueue } from './byte-queue.ts';
import { more } from './codec.ts';
import type { Decoder } from './codec.ts';
import { readHost } from './proxy-address.ts';
import { proxyInvalid } from './proxy-types.ts';
import type { ProxyAddress, ProxyHeader, ProxyHeaderInit } from './proxy-types.ts';
import { LONGEST_LINE, encodeV1, parseV1 } from './proxy-v1.ts';
import { LONGEST_V2, V2_HEAD, encodeV2, lengthOfV2, parseV2, signature, unixPathFits } from './proxy-v2.ts';

export { tlvsFit, unixPathFits } from './proxy-v2.ts';
export { proxyTlvs } from './proxy-tlv.ts';
export type { ProxyExtensionsInit, ProxySslInit } from './proxy-tlv.ts';
export type { ProxyAddress, ProxyExtensions, ProxyHeader, ProxyHeaderInit, ProxySsl, ProxyTlv } from './proxy-types.ts';

const LF = 10;
const prefix: Uint8Array = new TextEncoder().encode('PROXY ');

/** How many bytes `couldBeProxyHeader` looks at, at most. */
export const PROXY_MARK: number = signature.length;

/** Settings of {@link ProxyHeaderDecoder}. */
export interface ProxyHeaderOptions {
  /** The versions that are taken. @default [1, 2] */
  readonly versions?: readonly (1 | 2)[] | undefined;
  /** The longest header, in bytes, 107 to 65551. Version 1 has a limit of its own, which is 107. @default 4096 */
  readonly maxLength?: number | undefined;
}

const decoderTable = table('ProxyHeaderDecoder', {
  versions: list(oneOf(1, 2), { min: 1, max: 2 }),
  maxLength: byteCount({ min: LONGEST_LINE, max: LONGEST_V2 }),
});

/**
 * Whether bytes are the beginning of a PROXY header, of either version: `more` when there are too few to tell, which is never with 12
 * or more. `yes` is not to say that the header is right.
 */
export function couldBeProxyHeader(bytes: Uint8Array): 'yes' | 'no' | 'more' {
  const version = versionOf(bytes);
  return typeof version === 'number' ? 'yes' : version;
}

function versionOf(bytes: Uint8Array): 1 | 2 | 'no' | 'more' {
  if (bytes.length === 0) return 'more';
  const mark = bytes[0] === prefix[0] ? prefix : signature;
  const known = Math.min(mark.length, bytes.length);
  for (let i = 0; i < known; i++) if (bytes[i] !== mark[i]) return 'no';
  if (known < mark.length) return 'more';
  return mark === prefix ? 1 : 2;
}

/**
 * Takes one PROXY header, of version 1 or 2, off the front of an input (HAProxy's `proxy-protocol.txt`), and leaves what comes after it in
 * the queue. From then on it gives `more`.
 *
 * What is no header, is malformed, too long, or of a version that is not taken throws ERR_PORTSIDE_PROXY_HEADER as soon as it can be
 * known; so does a checksum that is wrong. An input that ends before its header does throws ERR_PORTSIDE_UNEXPECTED_END.
 *
 * Of a LOCAL header, and of one whose addresses are of no told family or transport, all after the first 16 bytes is skipped.
 */
export class ProxyHeaderDecoder implements Decoder<ProxyHeader> {
  readonly #versions: readonly (1 | 2)[];
  readonly #maxLength: number;
  #failure: Error | null = null;
  #given = false;
  #version: 0 | 1 | 2 = 0;
  /** How far a line's end was looked for, or how long the header is, once that is known. */
  #known = 0;

  /** Throws ERR_PORTSIDE_OPTIONS. */
  constructor(options?: ProxyHeaderOptions) {
    const { versions = [1, 2], maxLength = 4096 }: ProxyHeaderOptions = check(decoderTable, options);
    this.#versions = versions;
    this.#maxLength = maxLength;
  }

  decode(queue: ByteQueue): ProxyHeader | typeof more {
    if (this.#failure !== null) throw this.#failure;
    if (this.#given || queue.length === 0) return more;
    try {
      if (this.#version === 0 && !this.#begin(queue)) return more;
      const header = this.#version === 1 ? this.#line(queue) : this.#binary(queue);
      this.#given = header !== more;
      return header;
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  end(queue: ByteQueue): ProxyHeader | typeof more {
    const header = this.decode(queue);
    if (header !== more || this.#given) return header;
    const where = queue.length === 0 ? 'before its PROXY header' : `${queue.length} bytes into its PROXY header`;
    this.#failure = new PortsideError('ERR_PORTSIDE_UNEXPECTED_END', `the input ended ${where}`, { op: 'decode' });
    throw this.#failure;
  }

  #begin(queue: ByteQueue): boolean {
    const version = versionOf(queue.peek(Math.min(queue.length, PROXY_MARK)));
    if (version === 'more') return false;
    if (version === 'no') throw proxyInvalid('decode', 'there is none; the input begins with something else');
    if (!this.#versions.includes(version))
      throw proxyInvalid('decode', `it is of version ${version}, which is not taken here`);
    this.#version = version;
    return true;
  }

  #line(queue: ByteQueue): ProxyHeader | typeof more {
    const end = queue.indexOf(LF, this.#known, LONGEST_LINE);
    if (end >= 0) return parseV1(queue.take(end + 1));
    if (queue.length >= LONGEST_LINE)
      throw proxyInvalid('decode', `its line has no end within ${LONGEST_LINE} bytes, which is the limit`);
    this.#known = queue.length;
    return more;
  }

  #binary(queue: ByteQueue): ProxyHeader | typeof more {
    if (this.#known === 0) this.#known = lengthOfV2(queue.peek(Math.min(queue.length, V2_HEAD)), this.#maxLength);
    if (this.#known === 0 || queue.length < this.#known) return more;
    return parseV2(queue.take(this.#known));
  }
}

/** Settings of {@link encodeProxyHeader}. */
export interface ProxyEncodeOptions {
  /** Whether a header of version 2 carries a CRC32c of itself. @default false */
  readonly checksum?: boolean | undefined;
}

/**
 * The bytes of a PROXY header.
 *
 * Version 1 carries TCP over IPv4 or IPv6, and nothing else: Unix sockets, datagrams, a source and a destination of two families, and
 * a header without addresses become `PROXY UNKNOWN`. Version 2 carries all of them, where IPv4 beside IPv6 is written as
 * IPv4-mapped IPv6; only a Unix socket beside a numeric address leaves the addresses out. Extensions are written behind no
 * addresses too, but receivers skip them there.
 *
 * A zone (`%eth0`) is left out, as it means nothing on another machine. Throws ERR_PORTSIDE_PROXY_HEADER for what is no address, for
 * extensions or a checksum in version 1, and for addresses in a `local` header.
 */
export function encodeProxyHeader(header: ProxyHeaderInit, options?: ProxyEncodeOptions): Uint8Array {
  const { version, command = 'proxy', tlvs = [], transport } = header;
  const source = plainAddress(header.source ?? null, 'source');
  const destination = plainAddress(header.destination ?? null, 'destination');
  if ((source === null) !== (destination === null))
    throw proxyInvalid('encode', 'its source and destination go together, and one is missing');
  if (command === 'local' && source !== null) throw proxyInvalid('encode', 'one that is local has no addresses');
  const checksum = options?.checksum ?? false;
  const datagram = transport === 'datagram';
  if (version === 2) return encodeV2({ command, source, destination, datagram, tlvs, checksum });
  if (version !== 1) throw proxyInvalid('encode', `its version must be 1 or 2, got ${show(version)}`);
  if (tlvs.length > 0 || checksum) throw proxyInvalid('encode', 'version 1 has neither extensions nor a checksum');
  return encodeV1(source, destination, !datagram);
}

function plainAddress(address: ProxyAddress | null, what: string): ProxyAddress | null {
  if (address === null) return null;
  if (address.family === 'unix') {
    const { path } = address;
    if (!unixPathFits(path)) throw proxyInvalid('encode', `its ${what} is a path longer than a socket's can be`);
    return address;
  }
  const host = address.family === 'ipv6' ? (address.host.split('%', 1)[0] as string) : address.host;
  if (!readHost(address.family, host, addressWords()))
    throw proxyInvalid(
      'encode',
      `its ${what} is no ${address.family === 'ipv4' ? 'IPv4' : 'IPv6'} address: ${show(host)}`,
    );
  const { port } = address;
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw proxyInvalid('encode', `its ${what} port must be a whole number from 0 to 65535, got ${show(port)}`);
  return { family: address.family, host, port };
}

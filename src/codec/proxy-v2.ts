import { addressWords } from './address-words.ts';
import { hostAt, putWords, readHost } from './proxy-address.ts';
import { crc32c } from './proxy-crc32c.ts';
import { CRC32C, NOOP, TLV_HEAD, eachTlv, readExtensions, sizeOfTlvs, writeTlvs } from './proxy-tlv.ts';
import { noExtensions, noTlvs, proxyInvalid } from './proxy-types.ts';
import type { ProxyAddress, ProxyHeader, ProxyTlv } from './proxy-types.ts';
import { fromLooseUtf8 } from './utf8.ts';

export const signature: Uint8Array = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10);

/** Signature, command, family and length. */
export const V2_HEAD = 16;
/** The most that a length of 16 bits can make. */
export const LONGEST_V2 = 65_551;
const COMMAND_AT = 12;
const FAMILY_AT = 13;
const LENGTH_AT = 14;
const VERSION = 0x20;
const LOCAL = 0;
const PROXY = 1;
const INET = 1;
const INET6 = 2;
const UNIX = 3;
const STREAM = 1;
const DATAGRAM = 2;
const UNIX_PATH = 108;
/** By family: both addresses and, of TCP and UDP, both ports. */
const ADDRESS_BYTES = [0, 12, 36, UNIX_PATH * 2] as const;
const CHECKSUM_BYTES = 4;
const CHECKSUM_TLV = 7;

const zeros = new Uint8Array(CHECKSUM_BYTES);
// Used within one call.
const words = addressWords();

/** What is known of a header by its first bytes, 12 or more: its length once that is there, else 0. Throws as soon as it can't be right. */
export function lengthOfV2(head: Uint8Array, maxLength: number): number {
  if (head.length > COMMAND_AT) {
    const byte = head[COMMAND_AT] as number;
    if ((byte & 0xf0) !== VERSION)
      throw proxyInvalid('decode', `its binary form must be of version 2, got ${byte >> 4}`);
    if ((byte & 0x0f) > PROXY)
      throw proxyInvalid('decode', `its command must be LOCAL (0) or PROXY (1), got ${byte & 15}`);
  }
  if (head.length > FAMILY_AT && ((head[COMMAND_AT] as number) & 0x0f) === PROXY) {
    const byte = head[FAMILY_AT] as number;
    if (byte >> 4 > UNIX) throw proxyInvalid('decode', `its address family must be from 0 to 3, got ${byte >> 4}`);
    if ((byte & 15) > DATAGRAM) throw proxyInvalid('decode', `its transport must be from 0 to 2, got ${byte & 15}`);
  }
  if (head.length < V2_HEAD) return 0;
  const length = V2_HEAD + (((head[LENGTH_AT] as number) << 8) | (head[LENGTH_AT + 1] as number));
  if (length > maxLength) throw proxyInvalid('decode', `it is ${length} bytes long, and ${maxLength} is the limit`);
  return length;
}

/** Reads a header that is there as a whole, and whose first bytes were found right. It keeps nothing of the bytes. */
export function parseV2(bytes: Uint8Array): ProxyHeader {
  const command = ((bytes[COMMAND_AT] as number) & 0x0f) === LOCAL ? 'local' : 'proxy';
  const family = (bytes[FAMILY_AT] as number) >> 4;
  const transport = (bytes[FAMILY_AT] as number) & 15;
  // Nothing says where the extensions begin when the addresses are of no known kind; a receiver is to ignore them.
  if (command === 'local' || family === 0 || transport === 0)
    return { version: 2, command, source: null, destination: null, transport: null, tlvs: noTlvs, ...noExtensions };
  const end = V2_HEAD + (ADDRESS_BYTES[family] as number);
  if (bytes.length < end)
    throw proxyInvalid('decode', `its addresses take ${end - V2_HEAD} bytes, and it has ${bytes.length - V2_HEAD}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const tlvs = bytes.length === end ? noTlvs : readTlvs(bytes, end);
  return {
    version: 2,
    command,
    source: addressOf(view, bytes, family, 0),
    destination: addressOf(view, bytes, family, 1),
    transport: transport === STREAM ? 'stream' : 'datagram',
    tlvs,
    ...(tlvs.length === 0 ? noExtensions : readExtensions(tlvs)),
  };
}

function addressOf(view: DataView, bytes: Uint8Array, family: number, which: 0 | 1): ProxyAddress {
  switch (family) {
    case INET:
      return {
        family: 'ipv4',
        host: hostAt('ipv4', view, V2_HEAD + which * 4, words),
        port: view.getUint16(V2_HEAD + 8 + which * 2),
      };
    case INET6:
      return {
        family: 'ipv6',
        host: hostAt('ipv6', view, V2_HEAD + which * 16, words),
        port: view.getUint16(V2_HEAD + 32 + which * 2),
      };
    default: {
      const at = V2_HEAD + which * UNIX_PATH;
      return { family: 'unix', path: pathOf(bytes.subarray(at, at + UNIX_PATH)) };
    }
  }
}

/** A name in the file system ends before its first NUL. An abstract one begins with NUL, and ends before those that fill it up. */
function pathOf(field: Uint8Array): string {
  let end = field.indexOf(0);
  if (end === 0) {
    end = field.length;
    while (end > 0 && field[end - 1] === 0) end -= 1;
  }
  return end === 0 ? '' : fromLooseUtf8(end < 0 ? field : field.subarray(0, end));
}

function readTlvs(bytes: Uint8Array, from: number): ProxyTlv[] {
  // A copy, so that a header of some bytes does not keep the chunk that it came in.
  const own = bytes.slice(from);
  const tlvs: ProxyTlv[] = [];
  let checksum = -1;
  eachTlv(own, 0, own.length, (type, start, end) => {
    if (type === CRC32C) {
      if (checksum >= 0 || end - start !== CHECKSUM_BYTES)
        throw proxyInvalid('decode', `it must have one checksum, of ${CHECKSUM_BYTES} bytes`);
      checksum = start;
    } else if (type !== NOOP) tlvs.push({ type, value: own.subarray(start, end) });
  });
  if (checksum >= 0) verify(bytes, from + checksum);
  return tlvs;
}

/** The checksum is that of the header with zeros in its place. */
function verify(bytes: Uint8Array, at: number): void {
  const told = new DataView(bytes.buffer, bytes.byteOffset + at, CHECKSUM_BYTES).getUint32(0);
  const before = crc32c(zeros, crc32c(bytes.subarray(0, at)));
  if (crc32c(bytes.subarray(at + CHECKSUM_BYTES), before) !== told)
    throw proxyInvalid('decode', 'its checksum is not that of its bytes');
}

/** What a header of version 2 is made of. */
export interface V2Parts {
  readonly command: 'proxy' | 'local';
  readonly source: ProxyAddress | null;
  readonly destination: ProxyAddress | null;
  readonly datagram: boolean;
  readonly tlvs: readonly ProxyTlv[];
  readonly checksum: boolean;
}

/** The bytes of a header of version 2. Families that differ make it one without addresses, except that IPv4 beside IPv6 is mapped. */
export function encodeV2(parts: V2Parts): Uint8Array {
  const { command, source, destination, datagram, tlvs, checksum } = parts;
  const family = source === null || destination === null ? 0 : commonFamily(source, destination);
  const addresses = ADDRESS_BYTES[family];
  const length = V2_HEAD + addresses + sizeOfTlvs(tlvs) + (checksum ? CHECKSUM_TLV : 0);
  if (length > LONGEST_V2)
    throw proxyInvalid('encode', `it would be ${length} bytes long, and ${LONGEST_V2} is the limit`);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(signature);
  bytes[COMMAND_AT] = VERSION | (command === 'local' ? LOCAL : PROXY);
  bytes[FAMILY_AT] = family === 0 ? 0 : (family << 4) | (datagram ? DATAGRAM : STREAM);
  view.setUint16(LENGTH_AT, length - V2_HEAD);
  if (source !== null && destination !== null && family !== 0) {
    putAddress(bytes, view, family, 0, source);
    putAddress(bytes, view, family, 1, destination);
  }
  const end = writeTlvs(bytes, V2_HEAD + addresses, tlvs);
  if (checksum) {
    bytes[end] = CRC32C;
    bytes[end + 2] = CHECKSUM_BYTES;
    view.setUint32(end + 3, crc32c(bytes));
  }
  return bytes;
}

function commonFamily(source: ProxyAddress, destination: ProxyAddress): 0 | 1 | 2 | 3 {
  if (source.family === 'unix' || destination.family === 'unix') return source.family === destination.family ? UNIX : 0;
  return source.family === 'ipv4' && destination.family === 'ipv4' ? INET : INET6;
}

function putAddress(bytes: Uint8Array, view: DataView, family: number, which: 0 | 1, address: ProxyAddress): void {
  if (address.family === 'unix') {
    bytes.set(new TextEncoder().encode(address.path), V2_HEAD + which * UNIX_PATH);
    return;
  }
  const size = family === INET ? 4 : 16;
  if (readHost(address.family, address.host, words)) {
    // IPv4 beside IPv6 is mapped.
    if (address.family === 'ipv4') words[2] = 0xffff;
    putWords(view, V2_HEAD + which * size, words, family === INET ? 1 : 4);
  }
  view.setUint16(V2_HEAD + size * 2 + which * 2, address.port);
}

/** Whether a path is no longer than the name of a Unix socket can be. */
export function unixPathFits(path: string): boolean {
  return new TextEncoder().encode(path).length <= UNIX_PATH;
}

/** Whether TLVs can be sent behind addresses of any family, with a checksum or without. */
export function tlvsFit(tlvs: readonly ProxyTlv[]): boolean {
  let room = LONGEST_V2 - V2_HEAD - UNIX_PATH * 2 - CHECKSUM_TLV;
  for (const { type, value } of tlvs) {
    if (type === CRC32C || type === NOOP) return false;
    room -= TLV_HEAD + value.length;
  }
  return room >= 0;
}

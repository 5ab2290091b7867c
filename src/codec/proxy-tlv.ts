import { show } from '../base/show.ts';
import { proxyInvalid } from './proxy-types.ts';
import type { ProxyExtensions, ProxySsl, ProxyTlv } from './proxy-types.ts';
import { fromUtf8, isWellFormed } from './utf8.ts';

const ALPN = 0x01;
const AUTHORITY = 0x02;
/** The checksum of the whole header. */
export const CRC32C = 0x03;
/** Padding. */
export const NOOP = 0x04;
const UNIQUE_ID = 0x05;
const SSL = 0x20;
const SSL_VERSION = 0x21;
const SSL_CN = 0x22;
const SSL_CIPHER = 0x23;
const SSL_SIG_ALG = 0x24;
const SSL_KEY_ALG = 0x25;
const NETNS = 0x30;

const CLIENT_TLS = 1;
const CLIENT_CERT_CONNECTION = 2;
const CLIENT_CERT_SESSION = 4;

/** Type and length. */
export const TLV_HEAD = 3;
/** Client and verify. */
const SSL_HEAD = 5;
const LONGEST_ID = 128;
const LONGEST = 65_535;

/** Calls `each` for every TLV of a stretch of bytes, which they have to fill to the last byte. */
export function eachTlv(
  bytes: Uint8Array,
  from: number,
  to: number,
  each: (type: number, start: number, end: number) => void,
): void {
  let at = from;
  while (at < to) {
    const type = bytes[at] as number;
    if (at + TLV_HEAD > to) throw proxyInvalid('decode', `it ends in the head of an extension, of type ${type}`);
    const start = at + TLV_HEAD;
    const end = start + (((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number));
    if (end > to) {
      const over = `an extension of type ${type} is ${end - start} bytes long where ${to - start} are left`;
      throw proxyInvalid('decode', over);
    }
    each(type, start, end);
    at = end;
  }
}

/** What the extensions mean, checked. */
export function readExtensions(tlvs: readonly ProxyTlv[]): ProxyExtensions {
  const uniqueId = valueOf(tlvs, UNIQUE_ID);
  if (uniqueId !== null && uniqueId.length > LONGEST_ID)
    throw proxyInvalid('decode', `its unique id is ${uniqueId.length} bytes long, and ${LONGEST_ID} is the limit`);
  const ssl = valueOf(tlvs, SSL);
  return {
    alpn: textOf(tlvs, ALPN),
    authority: textOf(tlvs, AUTHORITY),
    uniqueId,
    netns: textOf(tlvs, NETNS),
    ssl: ssl === null ? null : readSsl(ssl),
  };
}

function readSsl(bytes: Uint8Array): ProxySsl {
  if (bytes.length < SSL_HEAD)
    throw proxyInvalid('decode', `what it tells of TLS is ${bytes.length} bytes long, and ${SSL_HEAD} is the least`);
  const client = bytes[0] as number;
  const verifyResult = new DataView(bytes.buffer, bytes.byteOffset + 1, 4).getUint32(0);
  const tlvs: ProxyTlv[] = [];
  eachTlv(bytes, SSL_HEAD, bytes.length, (type, start, end) => tlvs.push({ type, value: bytes.subarray(start, end) }));
  const certOnConnection = (client & CLIENT_CERT_CONNECTION) !== 0;
  const certInSession = (client & CLIENT_CERT_SESSION) !== 0;
  return {
    tls: (client & CLIENT_TLS) !== 0,
    certOnConnection,
    certInSession,
    verified: verifyResult === 0 && (certOnConnection || certInSession),
    verifyResult,
    version: textOf(tlvs, SSL_VERSION),
    cn: textOf(tlvs, SSL_CN),
    cipher: textOf(tlvs, SSL_CIPHER),
    sigAlg: textOf(tlvs, SSL_SIG_ALG),
    keyAlg: textOf(tlvs, SSL_KEY_ALG),
    tlvs,
  };
}

function valueOf(tlvs: readonly ProxyTlv[], type: number): Uint8Array | null {
  for (const tlv of tlvs) if (tlv.type === type) return tlv.value;
  return null;
}

function textOf(tlvs: readonly ProxyTlv[], type: number): string | null {
  const value = valueOf(tlvs, type);
  return value === null ? null : (fromUtf8(value) ?? null);
}

/** What a proxy may tell beside the addresses. */
export interface ProxyExtensionsInit {
  readonly alpn?: string | undefined;
  readonly authority?: string | undefined;
  /** Up to 128 bytes. */
  readonly uniqueId?: Uint8Array | undefined;
  readonly netns?: string | undefined;
  readonly ssl?: ProxySslInit | undefined;
}

/** What a proxy may tell of its client's TLS. */
export interface ProxySslInit {
  /** @default true */
  readonly tls?: boolean | undefined;
  /** @default false */
  readonly certOnConnection?: boolean | undefined;
  /** @default what `certOnConnection` is */
  readonly certInSession?: boolean | undefined;
  /** 0 when the client gave a certificate and it was found good. @default 1 */
  readonly verifyResult?: number | undefined;
  readonly version?: string | undefined;
  readonly cn?: string | undefined;
  readonly cipher?: string | undefined;
  readonly sigAlg?: string | undefined;
  readonly keyAlg?: string | undefined;
}

/**
 * The extensions of a header, for its `tlvs`: `[...proxyTlvs({ authority: 'example.org' }), { type: 0xe0, value }]`. Types
 * from 0xE0 to 0xEF are free for one's own. Throws ERR_PORTSIDE_PROXY_HEADER for what can't be sent.
 */
export function proxyTlvs(from: ProxyExtensionsInit): ProxyTlv[] {
  const { alpn, authority, uniqueId, netns, ssl } = from;
  const tlvs: ProxyTlv[] = [];
  putText(tlvs, ALPN, 'alpn', alpn);
  putText(tlvs, AUTHORITY, 'authority', authority);
  if (uniqueId !== undefined) {
    if (uniqueId.length > LONGEST_ID)
      throw proxyInvalid('encode', `uniqueId may have ${LONGEST_ID} bytes, got ${uniqueId.length}`);
    tlvs.push({ type: UNIQUE_ID, value: uniqueId });
  }
  putText(tlvs, NETNS, 'netns', netns);
  if (ssl !== undefined) tlvs.push({ type: SSL, value: sslValue(ssl) });
  return tlvs;
}

function sslValue(ssl: ProxySslInit): Uint8Array {
  const { tls = true, certOnConnection = false, certInSession = certOnConnection, verifyResult = 1 } = ssl;
  if (!Number.isInteger(verifyResult) || verifyResult < 0 || verifyResult > 0xffff_ffff)
    throw proxyInvalid('encode', `ssl.verifyResult must be a whole number of 32 bits, got ${show(verifyResult)}`);
  const tlvs: ProxyTlv[] = [];
  putText(tlvs, SSL_VERSION, 'ssl.version', ssl.version);
  putText(tlvs, SSL_CN, 'ssl.cn', ssl.cn);
  putText(tlvs, SSL_CIPHER, 'ssl.cipher', ssl.cipher);
  putText(tlvs, SSL_SIG_ALG, 'ssl.sigAlg', ssl.sigAlg);
  putText(tlvs, SSL_KEY_ALG, 'ssl.keyAlg', ssl.keyAlg);
  const bytes = new Uint8Array(SSL_HEAD + sizeOfTlvs(tlvs));
  bytes[0] =
    (tls ? CLIENT_TLS : 0) |
    (certOnConnection ? CLIENT_CERT_CONNECTION : 0) |
    (certInSession ? CLIENT_CERT_SESSION : 0);
  new DataView(bytes.buffer).setUint32(1, verifyResult);
  writeTlvs(bytes, SSL_HEAD, tlvs);
  return bytes;
}

function putText(tlvs: ProxyTlv[], type: number, name: string, text: string | undefined): void {
  if (text === undefined) return;
  if (typeof text !== 'string' || !isWellFormed(text))
    throw proxyInvalid('encode', `${name} must be a text that UTF-8 can carry, got ${show(text)}`);
  tlvs.push({ type, value: new TextEncoder().encode(text) });
}

/** How many bytes TLVs take. Throws for those that can't be sent. */
export function sizeOfTlvs(tlvs: readonly ProxyTlv[]): number {
  let size = 0;
  for (const { type, value } of tlvs) {
    if (!Number.isInteger(type) || type < 0 || type > 255)
      throw proxyInvalid('encode', `the type of an extension must be a whole number from 0 to 255, got ${show(type)}`);
    if (type === CRC32C || type === NOOP)
      throw proxyInvalid('encode', `type ${type} is the header's own business; for a checksum say so in the options`);
    if (!(value instanceof Uint8Array) || value.length > LONGEST)
      throw proxyInvalid('encode', `the value of an extension must be bytes, ${LONGEST} or less, got ${show(value)}`);
    size += TLV_HEAD + value.length;
  }
  return size;
}

/** Writes TLVs, and gives where they end. */
export function writeTlvs(into: Uint8Array, at: number, tlvs: readonly ProxyTlv[]): number {
  let end = at;
  for (const { type, value } of tlvs) {
    into[end] = type;
    into[end + 1] = value.length >> 8;
    into[end + 2] = value.length & 255;
    into.set(value, end + TLV_HEAD);
    end += TLV_HEAD + value.length;
  }
  return end;
}

import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { systemCode } from '../../base/errors.ts';
import type { Problem } from '../../base/options.ts';
import { blocksOf, isCertificate } from './pem.ts';
import type { Pem, PemReader, PemSource } from './pem.ts';
import type { TlsPair } from './server-options.ts';

/** What is told of a certificate that a server shows. */
export interface TlsCertificate {
  /** The name in {@link TlsServerOptions.servers} that it is for; null for the default pair. */
  readonly servername: string | null;
  /** The names and addresses that it covers. */
  readonly names: readonly string[];
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SHA-256 in hexadecimal, bytes parted by colons. */
  readonly fingerprint256: string;
}

/** A pair that was read and is right. */
export interface LoadedPair {
  readonly cert: string;
  readonly key: string;
  readonly passphrase: string | undefined;
  readonly leaf: X509Certificate;
}

/** Where a problem is told to. */
export type Tell = (path: string, message: string) => void;

/** Collects problems. */
export function teller(problems: Problem[]): Tell {
  return (path, message) => void problems.push({ path, message });
}

/** The names and addresses that a certificate covers; its common name when it says no others. */
export function namesOf(certificate: X509Certificate): string[] {
  const names: string[] = [];
  // Names with anything unusual in them are quoted as JSON.
  for (const [, plain, quoted] of (certificate.subjectAltName ?? '').matchAll(
    /(?:DNS|IP Address):(?:([^",]+)|("(?:[^"\\]|\\.)*"))/gu,
  )) {
    names.push(plain ?? (JSON.parse(quoted ?? '""') as string));
  }
  if (names.length > 0) return names;
  const common = /^CN=(.+)$/mu.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common];
}

export function describeCertificate(certificate: X509Certificate, servername: string | null): TlsCertificate {
  return {
    servername,
    names: namesOf(certificate),
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    fingerprint256: certificate.fingerprint256,
  };
}

/** Reads a PEM; a file that can't be read is a problem. */
export function readOr(source: PemSource, path: string, read: PemReader, tell: Tell): Pem | null {
  try {
    return read(source);
  } catch (error) {
    tell(`${path} (${shownPath(source)})`, `can't be read: ${unreadable(error)}`);
    return null;
  }
}

/** What a pair is held against. */
export interface PairCheck {
  /** Where the pair is in the options: '', or `servers["a.example.org"].`. */
  readonly at: string;
  /** The name that it is for; null for none. */
  readonly servername: string | null;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly read: PemReader;
  readonly tell: Tell;
}

/** Reads and checks a certificate and its key; null, and problems told, when they can't be used. */
export function loadPair(pair: TlsPair, { at, servername, now, read, tell }: PairCheck): LoadedPair | null {
  const cert = readOr(pair.cert, `${at}cert`, read, tell);
  const key = readOr(pair.key, `${at}key`, read, tell);
  const chain = cert === null ? null : parseChain(cert, `${at}cert`, tell);
  const secret = key === null ? null : parseKey(key, pair.passphrase, `${at}key`, tell);
  const [leaf] = chain ?? [];
  if (cert === null || leaf === undefined) return null;
  const where = nameOf(`${at}cert`, cert);
  if (now > leaf.validToDate.getTime())
    tell(where, `has expired: it was for ${subjectOf(leaf)} until ${leaf.validToDate.toISOString()}`);
  if (now < leaf.validFromDate.getTime())
    tell(where, `is not valid yet: it is for ${subjectOf(leaf)} from ${leaf.validFromDate.toISOString()} on`);
  if (servername !== null && leaf.checkHost(probeOf(servername)) === undefined)
    tell(where, `does not cover ${servername}: it is for ${namesOf(leaf).join(', ') || 'no name'}`);
  if (key === null || secret === null) return null;
  if (!leaf.checkPrivateKey(secret))
    tell(nameOf(`${at}key`, key), `does not fit the certificate ${cert.file ?? `for ${subjectOf(leaf)}`}`);
  return { cert: cert.text, key: key.text, passphrase: pair.passphrase, leaf };
}

/** The certificates of a PEM, the first of them the one that is shown; null when there is none or one is broken. */
export function parseChain(pem: Pem, path: string, tell: Tell): X509Certificate[] | null {
  const blocks = blocksOf(pem.text);
  const certificates = blocks.filter(isCertificate);
  const where = nameOf(path, pem);
  if (certificates.length === 0) {
    const other = blocks[0]?.kind.toLowerCase();
    tell(where, other === undefined ? 'holds no certificate in PEM' : `holds a ${other} where a certificate has to be`);
    return null;
  }
  const chain: X509Certificate[] = [];
  for (const [index, { text }] of certificates.entries()) {
    try {
      chain.push(new X509Certificate(text));
    } catch {
      tell(where, `holds a certificate that is broken (number ${index + 1} of ${certificates.length})`);
      return null;
    }
  }
  return chain;
}

/** A private key; null when it can't be used. What OpenSSL says of it is not passed on. */
export function parseKey(pem: Pem, passphrase: string | undefined, path: string, tell: Tell): KeyObject | null {
  const where = nameOf(path, pem);
  const blocks = blocksOf(pem.text);
  const block = blocks.find(({ kind }) => kind.endsWith('PRIVATE KEY'));
  if (block === undefined) {
    const other = blocks[0]?.kind.toLowerCase();
    tell(where, other === undefined ? 'holds no private key in PEM' : `holds a ${other} where a private key has to be`);
    return null;
  }
  const encrypted = block.kind.startsWith('ENCRYPTED') || block.text.includes('Proc-Type: 4,ENCRYPTED');
  if (encrypted && passphrase === undefined) {
    tell(where, 'is encrypted, and no passphrase is given');
    return null;
  }
  try {
    return createPrivateKey({ key: pem.text, format: 'pem', passphrase });
  } catch {
    tell(where, encrypted ? "can't be decrypted with the passphrase that is given" : 'is broken');
    return null;
  }
}

/** How a place of the options is called: with the file that it names. */
export function nameOf(path: string, pem: Pem): string {
  return pem.file === null ? path : `${path} (${pem.file})`;
}

function oneLine(name: string): string {
  return name.split('\n').join(', ');
}

function subjectOf(certificate: X509Certificate): string {
  return namesOf(certificate).join(', ') || oneLine(certificate.subject) || 'nobody';
}

/** A host that a name stands for; no certificate is made for just this one. */
function probeOf(servername: string): string {
  return servername.startsWith('*.') ? `any-name-${process.pid}${servername.slice(1)}` : servername;
}

function unreadable(error: unknown): string {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'it does not exist (ENOENT)';
    case 'EACCES':
    case 'EPERM':
      return 'this user may not read it (EACCES)';
    case 'EISDIR':
      return 'it is a directory (EISDIR)';
    default:
      // Node's message has the path in it.
      return systemCode(error) ?? 'an unknown error';
  }
}

/** A path as it may be shown: a key that lost its BEGIN line is taken for one. */
function shownPath(source: PemSource): string {
  const path = String(source);
  return /\s/u.test(path) || /[A-Za-z0-9+/=]{64}/u.test(path) ? 'a path that may be a key by mistake' : path;
}

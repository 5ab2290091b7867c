import { X509Certificate, createPrivateKey, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PortsideError, systemCode } from '../base/errors.ts';

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** What a folder keeps. */
export type FoundPair =
  | { readonly kind: 'none' }
  /** `why` reads after "because". */
  | { readonly kind: 'damaged'; readonly why: string }
  | {
      readonly kind: 'pair';
      readonly pair: Pair;
      readonly certificate: X509Certificate;
      /** The file of the certificate. */
      readonly file: string;
      /** Why the key won't do, as it reads after "because"; or null. */
      readonly fault: string | null;
    };

const CERT = 'portside.crt';
const KEY = 'portside.key';

/** The file of a folder's certificate. */
export function certFile(folder: string): string {
  return join(folder, CERT);
}

/** The file of a folder's key. */
export function keyFile(folder: string): string {
  return join(folder, KEY);
}

/** A pair has a kilobyte or so. */
const LONGEST = 65_536;

/** Reads `portside.crt` and `portside.key`. Throws ERR_PORTSIDE_CERTIFICATE when the system does not let it. */
export async function readPair(folder: string): Promise<FoundPair> {
  // One after the other, so that of two that can't be read it is always the same that is told.
  const cert = await read(certFile(folder));
  const key = await read(keyFile(folder));
  if (cert === null && key === null) return { kind: 'none' };
  if (cert === null) return { kind: 'damaged', why: `${CERT} was missing` };
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert.text);
  } catch {
    return { kind: 'damaged', why: `${CERT} was damaged` };
  }
  const pair = { cert: cert.text, key: key?.text ?? '' };
  return { kind: 'pair', pair, certificate, file: certFile(folder), fault: faultOf(certificate, key) };
}

function faultOf(certificate: X509Certificate, key: KeptFile | null): string | null {
  if (key === null) return `${KEY} was missing`;
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key.text))) return `${KEY} did not fit ${CERT}`;
  } catch {
    return `${KEY} was damaged`;
  }
  return process.platform !== 'win32' && (key.mode & 0o077) !== 0 ? `others could read ${KEY}` : null;
}

/** Writes the pair, each file whole or not at all, and the folder where it is missing. Throws ERR_PORTSIDE_CERTIFICATE. */
export async function writePair(folder: string, { cert, key }: Pair): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await replace(keyFile(folder), key, 0o600);
    await replace(certFile(folder), cert, 0o644);
  } catch (cause) {
    throw new PortsideError(
      'ERR_PORTSIDE_CERTIFICATE',
      `The certificate can't be kept in ${folder} (${systemCode(cause) ?? 'UNKNOWN'}); name a directory that can be written to.`,
      { cause },
    );
  }
}

async function replace(file: string, text: string, mode: number): Promise<void> {
  const fresh = `${file}.${randomUUID()}`;
  try {
    await writeFile(fresh, text, { mode, flag: 'wx' });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

interface KeptFile {
  readonly text: string;
  readonly mode: number;
}

async function read(file: string): Promise<KeptFile | null> {
  try {
    const { size, mode } = await stat(file);
    // What is longer, or not a file at all, is not read: it can't be what was written here.
    if (size > LONGEST || (mode & 0o170000) !== 0o100000) return { text: '', mode };
    return { text: await readFile(file, 'utf8'), mode };
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'ENOENT') return null;
    throw new PortsideError(
      'ERR_PORTSIDE_CERTIFICATE',
      `${file} can't be read (${code ?? 'UNKNOWN'}); change its permissions, or name another folder.`,
      { cause },
    );
  }
}

import { createHash } from 'node:crypto';
import { parseChain, readOr } from './certificate.ts';
import type { Tell } from './certificate.ts';
import type { PemReader, PemSource } from './pem.ts';

type Authorities = PemSource | readonly PemSource[] | undefined;

/** One or more sources, as a list. */
export function sourcesOf(given: Authorities): readonly PemSource[] {
  if (given === undefined) return [];
  return typeof given === 'string' || ArrayBuffer.isView(given) ? [given] : given;
}

/** Reads and parses the certificates of authorities. */
export function loadAuthorities(given: Authorities, read: PemReader, tell: Tell): string[] {
  const sources = sourcesOf(given);
  const texts: string[] = [];
  for (const [index, source] of sources.entries()) {
    const path = sources.length === 1 ? 'ca' : `ca[${index}]`;
    const pem = readOr(source, path, read, tell);
    if (pem !== null && parseChain(pem, path, tell) !== null) texts.push(pem.text);
  }
  return texts;
}

/** A digest of texts that tells where each begins. */
export function digestOf(texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text.length}:`).update(text, 'latin1');
  return hash.digest('base64');
}

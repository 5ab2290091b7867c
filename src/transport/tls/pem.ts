import { readFile } from 'node:fs/promises';
import { isUint8Array } from 'node:util/types';
import { that } from '../../base/options.ts';
import type { Rule } from '../../base/options.ts';

/** PEM as text (it contains `-----BEGIN`) or as bytes, or else the path of a file that holds it. */
export type PemSource = string | Uint8Array;

/** PEM that was read. */
export interface Pem {
  readonly text: string;
  /** The file it came from. */
  readonly file: string | null;
}

/** What a {@link PemSource} has to be. */
export const pemRule: Rule<PemSource> = that<PemSource>(
  'PEM as text or bytes, or the path of a file',
  (value) =>
    (typeof value === 'string' && value !== '' && !value.includes('\0')) || (isUint8Array(value) && value.length > 0),
);

/** The path that a source names, or null when it is PEM itself. */
export function pathOf(source: PemSource): string | null {
  return typeof source === 'string' && !source.includes('-----BEGIN') ? source : null;
}

/** Gives the PEM of a source. Throws the system's error when it is a file that can't be read. */
export type PemReader = (source: PemSource) => Pem;

/** Reads the files among sources, all at once, and gives a reader that has them in memory. */
export async function readAhead(sources: readonly PemSource[]): Promise<PemReader> {
  const files = new Map<string, Buffer | Error>();
  await Promise.all(
    pathsOf(sources).map(async (file) => {
      try {
        files.set(file, await readFile(file));
      } catch (error) {
        files.set(file, error instanceof Error ? error : new Error(String(error)));
      }
    }),
  );
  return (source) => {
    const file = pathOf(source);
    const content = file === null ? source : (files.get(file) ?? new Error('it was not read'));
    if (content instanceof Error) throw content;
    return { text: typeof content === 'string' ? content : Buffer.from(content).toString('latin1'), file };
  };
}

/** A reader of sources none of which is a file. */
export const readInline: PemReader = (source) => ({
  text: typeof source === 'string' ? source : Buffer.from(source).toString('latin1'),
  file: null,
});

/** The paths among sources, each once. */
export function pathsOf(sources: readonly PemSource[]): string[] {
  return [...new Set(sources.map(pathOf).filter((path) => path !== null))];
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/gu;

/** The blocks of a PEM: what kind each is, and its text. */
export function blocksOf(text: string): { readonly kind: string; readonly text: string }[] {
  return Array.from(text.matchAll(BLOCK), ([block, kind = '']) => ({ kind, text: block }));
}

/** Whether a block is a certificate. */
export function isCertificate({ kind }: { readonly kind: string }): boolean {
  return kind === 'CERTIFICATE' || kind === 'X509 CERTIFICATE' || kind === 'TRUSTED CERTIFICATE';
}

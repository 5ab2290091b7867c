import { formatIPv4, formatIPv6Mixed, readIPv4, readIPv6 } from './address-words.ts';

const WORDS = 4;
const WORD_BYTES = 4;

/** Reads a numeric address of a family; false when the text is none. A zone makes it none, as it means nothing on another machine. */
export function readHost(family: 'ipv4' | 'ipv6', text: string, into: Uint32Array): boolean {
  return family === 'ipv4' ? readIPv4(text, into) : !text.includes('%') && readIPv6(text, into);
}

/** Puts the last `count` words into a header: one for IPv4, four for IPv6. */
export function putWords(view: DataView, at: number, words: Uint32Array, count: 1 | 4): void {
  for (let i = 0; i < count; i++) view.setUint32(at + i * WORD_BYTES, words[WORDS - count + i]!);
}

/** The address in a header, as the system writes it. `words` is written and read within the call. */
export function hostAt(family: 'ipv4' | 'ipv6', view: DataView, at: number, words: Uint32Array): string {
  const count = family === 'ipv4' ? 1 : WORDS;
  for (let i = 0; i < count; i++) words[WORDS - count + i] = view.getUint32(at + i * WORD_BYTES);
  return family === 'ipv4' ? formatIPv4(words) : formatIPv6Mixed(words);
}

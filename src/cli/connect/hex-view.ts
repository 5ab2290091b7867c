import type { View } from './view.ts';

/** Bytes in a line. */
const WIDTH = 16;
const PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.',
);

/**
 * Both directions as `hexdump -C` shows bytes, with an arrow in front: `-> 00000000  68 69 0a …  |hi.|`. Each direction counts its own bytes. What came or went at once
 * begins a line.
 */
export class HexView implements View {
  #out = 0;
  #in = 0;

  sent(bytes: Uint8Array): string {
    const from = this.#out;
    this.#out += bytes.length;
    return dump('->', from, bytes);
  }

  received(bytes: Uint8Array): string {
    const from = this.#in;
    this.#in += bytes.length;
    return dump('<-', from, bytes);
  }

  rest(): null {
    return null;
  }
}

function dump(arrow: string, offset: number, bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const end = Math.min(at + WIDTH, bytes.length);
    let pairs = '';
    let characters = '';
    for (let i = at; i < end; i += 1) {
      const byte = bytes[i] ?? 0;
      pairs += `${i - at === WIDTH / 2 ? '  ' : ' '}${PAIRS[byte] ?? ''}`;
      characters += CHARACTERS[byte] ?? '';
    }
    const where = (offset + at).toString(16).padStart(8, '0');
    text += `${arrow} ${where} ${pairs.padEnd(3 * WIDTH + 1)}  |${characters}|\n`;
  }
  return text;
}

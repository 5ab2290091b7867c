import { hexDump } from '../../base/hex-dump.ts';
import type { View } from './view.ts';

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
  return hexDump(bytes, offset)
    .map((line) => `${arrow} ${line}\n`)
    .join('');
}

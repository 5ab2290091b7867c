/** Bytes in one line of a dump. */
export const DUMP_WIDTH = 16;

const HEX = Array.from({ length: 256 }, (_none, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Bytes as text, 16 a line: the offset, the bytes in hex, and as ASCII with a dot for what is none, as `hexdump -C` has it.
 *
 *     00000000  48 65 6c 6c 6f 0d 0a                              |Hello..|
 *
 * `from` is the offset of the first byte.
 */
export function hexDump(bytes: Uint8Array, from = 0): string[] {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += DUMP_WIDTH) {
    let hex = '';
    let text = '';
    const end = Math.min(start + DUMP_WIDTH, bytes.length);
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number;
      hex += ` ${HEX[byte] ?? ''}${i - start === 7 ? ' ' : ''}`;
      text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
    }
    lines.push(`${(from + start).toString(16).padStart(8, '0')} ${hex.padEnd(DUMP_WIDTH * 3 + 1)}  |${text}|`);
  }
  return lines;
}

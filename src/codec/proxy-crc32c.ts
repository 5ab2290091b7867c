// Castagnoli's polynomial with its bits turned round, as the checksum takes the lowest bit of a byte first.
const POLYNOMIAL = 0x82f63b78;

const table: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
  return rest;
});

/**
 * CRC32c of bytes, 0 to 4294967295 (RFC 9260, appendix A). `before` is the checksum of what stands in front of them, so
 * that bytes in pieces can be summed up.
 */
export function crc32c(bytes: Uint8Array, before: number = 0): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (table[(crc ^ (bytes[i] as number)) & 255] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

import { Buffer } from 'node:buffer';
import { copyOf } from '../own-bytes.ts';
import type { Addon } from './layout.ts';

/** Reads from this size on are worth memory of their own. */
const LEAST = 16384;

/** For reads of which size there is to be room, by the size of the last one: 0 for small ones, which are copied, then 16, 32 or 64 KiB. */
export function levelOf(length: number): number {
  if (length < LEAST) return 0;
  return length === LEAST ? 1 : length <= 2 * LEAST ? 2 : 3;
}

/** The level after a read: of one that filled its room, the next; of one that left more than half of it free, the one before. */
export function nextLevel(level: number, length: number): number {
  const room = roomOf(level);
  if (length === room) return Math.min(3, level + 1);
  return length * 2 < room ? level - 1 : level;
}

/** Bytes of room of a level from 1 on. */
export function roomOf(level: number): number {
  return LEAST << (level - 1);
}

/** Reads into memory that is the taker's for ever: the bytes, or 0 at the end, or a negative errno. */
export function readOwn(addon: Addon, slot: number, gen: number, room: number): Uint8Array | number {
  // Not zeroed: only what was written over is shown.
  const memory = Buffer.allocUnsafeSlow(room);
  const count = addon.read(slot, gen, memory);
  if (count <= 0) return count;
  // Whoever keeps a little must not keep much along with it.
  return count * 2 < room ? copyOf(memory.subarray(0, count)) : new Uint8Array(memory.buffer, 0, count);
}

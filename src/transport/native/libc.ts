import { closeSync, openSync, readSync } from 'node:fs';

/** The C library that programs are linked with, as far as binaries for one don't run with the other. */
export type Libc = 'glibc' | 'musl';

/** Where things are in a 64-bit ELF file, little-endian (elf(5)). */
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const PT_INTERP = 3;

/**
 * The C library of a program: the name of its dynamic loader tells, which is at the beginning of the file. What isn't known is taken for glibc.
 * A report of the process would tell too, but takes a hundred times as long and reads the whole environment.
 */
export function libcOf(program: string): Libc {
  try {
    const file = openSync(program, 'r');
    try {
      return /\/ld-musl-[^/]*$/u.test(interpreter(file)) ? 'musl' : 'glibc';
    } finally {
      closeSync(file);
    }
  } catch {
    return 'glibc';
  }
}

function interpreter(file: number): string {
  const head = read(file, 64, 0);
  if (head.toString('latin1', 0, 4) !== '\x7fELF' || head[4] !== CLASS_64 || head[5] !== LITTLE_ENDIAN) return '';
  const size = head.readUInt16LE(54);
  const count = head.readUInt16LE(56);
  const table = read(file, size * count, Number(head.readBigUInt64LE(32)));
  for (let at = 0; at + 56 <= table.length; at += size) {
    if (table.readUInt32LE(at) !== PT_INTERP) continue;
    const length = Math.min(256, Number(table.readBigUInt64LE(at + 32)));
    return read(file, length, Number(table.readBigUInt64LE(at + 8)))
      .toString('latin1')
      .replace(/\0.*$/su, '');
  }
  return '';
}

function read(file: number, length: number, from: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, from));
}

import { loadNative } from './load.ts';

const MIB = 2 ** 20;

/** Free memory that is kept, and the size from which blocks are mapped one by one: where glibc itself arrives when it has freed a block of 32 MiB. V8 collects chunks when there are 32 MiB of them. */
const KEPT = 64 * MIB;
const LARGEST = 32 * MIB;

/** What sets the same from outside, which goes before. */
const SETTINGS = ['MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TOP_PAD_', 'GLIBC_TUNABLES'] as const;

/**
 * Has glibc keep freed memory for what is allocated next, for the whole process: given back to the system, each page would be
 * taken and zeroed anew, which for chunks of 64 KiB costs a third of reading them. Without the native core, with another C library, or where the
 * environment says otherwise (mallopt(3), "ENVIRONMENT VARIABLES"), nothing is changed.
 */
export function keepFreedMemory(): void {
  if (SETTINGS.some((name) => process.env[name] !== undefined)) return;
  const loaded = loadNative();
  if ('addon' in loaded) loaded.addon.keepFreed(KEPT, LARGEST);
}

import { setFlagsFromString } from 'node:v8';
import { transportName } from '../net/transports.ts';
import type { TransportChoice } from '../net/transports.ts';
import { keepFreedMemory } from '../transport/native/freed-memory.ts';

/**
 * Sets the process up for handlers that let large chunks go as fast as they come. It is for the process to decide, so the command does it and the library does not.
 *
 * V8 frees the memory of buffers that nobody has any more where it finds them, and not by a thread of its own, by and by. Until that thread has come they count as alive, and the whole heap is
 * looked through again and again for their sake: on Node 26 half of the time, and a hundred times the worst latency. And what is freed stays at hand for the next.
 */
export function reuseMemory(transport: TransportChoice | undefined): void {
  setFlagsFromString('--no-concurrent-array-buffer-sweeping');
  if (transportName(transport) === 'native') keepFreedMemory();
}

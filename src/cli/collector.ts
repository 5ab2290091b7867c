import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 free the memory of buffers that nobody has any more where it finds them, and not by a thread of its own, by and by. Until that thread has come they count as alive, and a server that
 * reads large chunks into memory of its handlers' own has the whole heap looked through again and again for their sake: on Node 26 half of its time, and a hundred times the worst latency.
 * It is for the process to decide, so the command does it and the library does not.
 */
export function freeBuffersAtOnce(): void {
  setFlagsFromString('--no-concurrent-array-buffer-sweeping');
}

import type { Channel } from '../transport/contract.ts';
import { deferred } from './deferred.ts';
import type { Deferred } from './deferred.ts';

/** What a connection's writing needs beyond queueing: waiting for room, corks, and who watches for it. Made when first needed. */
export class Outlet {
  readonly #channel: Channel;
  #drained: Deferred<void> | null = null;
  #corks = 0;
  #corked: Uint8Array[] = [];
  #corkedBytes = 0;
  #watchers: Set<() => void> | null = null;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  get corked(): boolean {
    return this.#corks > 0;
  }

  get corkedBytes(): number {
    return this.#corkedBytes;
  }

  cork(): void {
    this.#corks += 1;
  }

  /** Takes one cork out, or all; what was held back is returned when none is left. */
  uncork(all: boolean): readonly Uint8Array[] | null {
    if (this.#corks === 0) return null;
    this.#corks = all ? 0 : this.#corks - 1;
    if (this.#corks > 0 || this.#corked.length === 0) return null;
    const corked = this.#corked;
    this.#corked = [];
    this.#corkedBytes = 0;
    return corked;
  }

  /** Holds bytes back until the last cork is out. */
  gather(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#corked.push(bytes);
    this.#corkedBytes += bytes.length;
  }

  /** Resolves when all output is with the kernel. All who wait at a time share one promise. */
  drained(): Promise<void> {
    if (this.#drained === null) {
      this.#drained = deferred();
      this.#channel.wantWritable();
    }
    return this.#drained.promise;
  }

  watch(wake: () => void): () => void {
    this.#watchers ??= new Set();
    this.#watchers.add(wake);
    this.#channel.wantWritable();
    return () => {
      this.#watchers?.delete(wake);
    };
  }

  /** All output is with the kernel, or, with an error, never will be. */
  tell(error: Error | null): void {
    const drained = this.#drained;
    this.#drained = null;
    if (drained !== null) {
      if (error === null) drained.resolve();
      else drained.reject(error);
    }
    if (this.#watchers !== null) for (const wake of [...this.#watchers]) wake();
  }
}

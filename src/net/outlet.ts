import { Deadline } from '../sync/deadline.ts';
import { deferred } from './deferred.ts';
import type { Deferred } from './deferred.ts';
import type { Link } from './link.ts';
import { takenOf } from './linger.ts';

/** How often within the write deadline it is looked whether the peer takes some: nobody tells. */
const LOOKS = 8;

const KEPT: Promise<void> = Promise.resolve();

/** What a connection's writing needs beyond queueing: waiting for room, corks, and who watches for it. Made when first needed. */
export class Outlet {
  readonly #link: Link;
  #drained: Deferred<void> | null = null;
  #corks = 0;
  /** Whether replies to frames that came together are held back, to leave together. */
  #batch = false;
  #corked: Uint8Array[] = [];
  #corkedBytes = 0;
  #watchers: Set<() => void> | null = null;
  #deadline: Deadline | null = null;
  /** What the peer had taken, and when that was seen to change. */
  #taken = 0;
  #since = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  get corked(): boolean {
    return this.#corks > 0 || this.#batch;
  }

  get corkedBytes(): number {
    return this.#corkedBytes;
  }

  cork(): void {
    this.#corks += 1;
  }

  /** Takes one cork out, or all; what was held back is returned when none is left. */
  uncork(all: boolean): readonly Uint8Array[] | null {
    if (!all && this.#corks === 0) return null;
    this.#corks = all ? 0 : this.#corks - 1;
    if (all) this.#batch = false;
    this.#link.mayRest();
    return this.#release();
  }

  /** Holds writes back until {@link Outlet.endBatch}, or until there are more than the high-water mark. Unlike corks it does not nest, and is nobody's but the house's. */
  beginBatch(): void {
    this.#batch = true;
  }

  /** What was held back leaves, unless a cork is in. */
  endBatch(): void {
    this.#batch = false;
    const held = this.#release();
    if (held !== null) void this.#link.writeAll(held);
  }

  #release(): readonly Uint8Array[] | null {
    if (this.corked || this.#corked.length === 0) return null;
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

  /** Takes a write while something holds them back. */
  keep(bytes: Uint8Array): Promise<void> {
    this.gather(bytes);
    const { queued, settings } = this.#link;
    if (this.#corks > 0) return queued > settings.writeLimit ? this.#link.overflow(queued) : KEPT;
    if (queued <= settings.highWaterMark) return KEPT;
    this.#batch = false;
    return this.#link.writeAll(this.#release() ?? []);
  }

  /** Resolves when all output is with the kernel. All who wait at a time share one promise. */
  drained(): Promise<void> {
    if (this.#drained === null) {
      this.#drained = deferred();
      this.#link.channel.wantWritable();
      this.#bound();
    }
    return this.#drained.promise;
  }

  /** Whether somebody is to be told when there is room. */
  get waits(): boolean {
    return this.#drained !== null || (this.#watchers !== null && this.#watchers.size > 0);
  }

  /** The peer has to take some of it within the write deadline, again and again. */
  #bound(): void {
    const { write } = this.#link.settings.deadlines;
    if (write === Infinity || this.#deadline?.armed === true) return;
    this.#deadline ??= new Deadline(this.#link.clock, () => this.#look());
    this.#taken = takenOf(this.#link);
    this.#since = this.#link.clock.now();
    this.#deadline.arm(write / LOOKS);
  }

  #look(): void {
    const { write } = this.#link.settings.deadlines;
    if (this.#drained === null || write === Infinity) return;
    const now = this.#link.clock.now();
    const taken = takenOf(this.#link);
    // While handshakes are under way nothing can leave; they have a deadline of their own.
    if (taken !== this.#taken || this.#link.opening) {
      this.#taken = taken;
      this.#since = now;
    }
    const left = this.#since + write - now;
    if (left <= 0) this.#link.destroy('drop', { kind: 'timeout', deadline: 'write', after: write });
    else this.#deadline?.arm(Math.min(left, write / LOOKS));
  }

  /** The deadline is another one from now on, for who waits already too. */
  bindAnew(): void {
    if (this.#drained === null) return;
    if (this.#deadline?.armed !== true) this.#bound();
    else {
      this.#deadline.disarm();
      this.#look();
    }
  }

  watch(wake: () => void): () => void {
    this.#watchers ??= new Set();
    this.#watchers.add(wake);
    this.#link.channel.wantWritable();
    return () => {
      this.#watchers?.delete(wake);
    };
  }

  /** All output is with the kernel, or, with an error, never will be. */
  tell(error: Error | null): void {
    const drained = this.#drained;
    this.#drained = null;
    this.#deadline?.disarm();
    if (drained !== null) {
      if (error === null) drained.resolve();
      else drained.reject(error);
    }
    if (this.#watchers !== null) for (const wake of [...this.#watchers]) wake();
  }
}

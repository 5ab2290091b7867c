import { statSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BroadcastChannel } from 'node:worker_threads';

/** The channel on which workers tell what they load. */
export const LOADED = 'portside.loaded';

/** The module that has a worker tell what it loads. */
export const REPORTER: string = new URL(
  import.meta.url.endsWith('.ts') ? './report-sources.ts' : './report-sources.js',
  import.meta.url,
).href;

/** A file that was loaded. */
export interface Loaded {
  readonly url: string;
  /** When, by the wall clock: what was changed since then is not what runs. */
  readonly at: number;
}

/** Who hears of changes. */
export interface SourceWatchHost {
  /** These files have changed, and nothing more within a moment. */
  changed(files: readonly string[]): void;
  /** Something can't be watched; told once. */
  blind(why: string): void;
}

/** Milliseconds without a change after which it is told, and after which it is told in any case. */
const SETTLE = 100;
const LONGEST = 1_000;
/** Files that are seen to. */
const MOST = 5_000;
/** Where this package's own modules are, which nobody changes while they run. */
const OWN = fileURLToPath(new URL('../', import.meta.url));

/** Tells when sources change that workers have loaded: what lies in `node_modules` does not count. Workers have to load {@link REPORTER} first. */
export class SourceWatch {
  readonly #host: SourceWatchHost;
  readonly #channel: BroadcastChannel = new BroadcastChannel(LOADED);
  /** By directory, its files. Directories are watched, as editors exchange files by rename. */
  readonly #files = new Map<string, Set<string>>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #changed = new Set<string>();
  #count = 0;
  #since = 0;
  #timer: NodeJS.Timeout | null = null;
  #told = false;

  /** @param file The first one, which is seen to from the start. */
  constructor(file: string, host: SourceWatchHost) {
    this.#host = host;
    this.#add(file);
    this.#channel.onmessage = (event) => {
      const { url, at } = (event as { data: Loaded }).data;
      const path = fileURLToPath(url);
      if (!path.startsWith(OWN) && !path.includes(`${sep}node_modules${sep}`)) this.#loaded(path, at);
    };
    this.#channel.unref();
  }

  /** Idempotent. */
  close(): void {
    this.#channel.close();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #loaded(path: string, at: number): void {
    this.#add(path);
    const time = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Math.floor(time) > at) this.#stirred(path);
  }

  #add(path: string): void {
    const directory = dirname(path);
    const files = this.#files.get(directory) ?? new Set();
    if (files.has(path)) return;
    if (this.#count >= MOST) {
      this.#blind(`more than ${MOST} files`);
      return;
    }
    this.#count += 1;
    files.add(path);
    this.#files.set(directory, files);
    if (files.size === 1) this.#watch(directory);
  }

  #watch(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
    try {
      const watcher = watch(directory, { persistent: false }, (_, name) => this.#seen(directory, name));
      watcher.on('error', () => this.#watchers.delete(directory));
      this.#watchers.set(directory, watcher);
    } catch (error) {
      this.#blind(`${directory}: ${(error as Error).message}`);
    }
  }

  #blind(what: string): void {
    if (!this.#told) this.#host.blind(`--watch does not see to ${what}`);
    this.#told = true;
  }

  #seen(directory: string, name: string | null): void {
    for (const file of this.#files.get(directory) ?? []) {
      if (name === null || basename(file) === name) this.#stirred(file);
    }
  }

  #stirred(file: string): void {
    const now = performance.now();
    if (this.#timer === null) this.#since = now;
    else clearTimeout(this.#timer);
    this.#changed.add(file);
    this.#timer = setTimeout(() => this.#settled(), Math.min(SETTLE, Math.max(0, this.#since + LONGEST - now)));
    this.#timer.unref();
  }

  #settled(): void {
    this.#timer = null;
    const changed = [...this.#changed];
    this.#changed.clear();
    // A directory that was exchanged itself is another one now; before anything is read, so that no change falls between.
    for (const directory of this.#files.keys()) this.#watch(directory);
    this.#host.changed(changed);
  }
}

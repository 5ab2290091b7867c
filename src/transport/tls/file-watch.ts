import { existsSync, lstatSync, realpathSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { PortsideError } from '../../base/errors.ts';
import type { Clock, TimerHandle } from '../../sync/clock.ts';
import { systemError } from '../system-error.ts';

/**
 * Tells that something may have happened to files. The directories are watched, not the files: certbot and Kubernetes exchange files and the links
 * to them by rename, and a watch of a file stays with the one that is gone. Keeps no process alive.
 */
export class FileWatch {
  readonly #files: readonly string[];
  readonly #settle: number;
  readonly #clock: Clock;
  readonly #told: (error: PortsideError | null) => void;
  #watchers = new Map<string, FSWatcher>();
  #timer: TimerHandle | null = null;
  #closed = false;

  /**
   * @param settle Milliseconds without anything happening after which it is told.
   * @param told Hears null when something happened, or why watching failed. Throws the system's error at once when it fails at first.
   */
  constructor(files: readonly string[], settle: number, clock: Clock, told: (error: PortsideError | null) => void) {
    this.#files = files;
    this.#settle = settle;
    this.#clock = clock;
    this.#told = told;
    try {
      this.#renew();
    } catch (error) {
      this.close();
      throw systemError('tls', error);
    }
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#drop();
  }

  #drop(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers = new Map();
  }

  readonly #stirred = (): void => {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(this.#settle, this.#settled);
    this.#timer.ref(false);
  };

  readonly #settled = (): void => {
    this.#timer = null;
    if (this.#closed) return;
    try {
      // A directory that was exchanged itself is another one now; before anything is read, so that no change falls between.
      this.#renew();
    } catch (error) {
      this.#told(systemError('tls', error));
      return;
    }
    this.#told(null);
  };

  #renew(): void {
    this.#drop();
    for (const directory of directoriesOf(this.#files)) {
      const watcher = watch(directory, { persistent: false }, this.#stirred);
      this.#watchers.set(directory, watcher);
      watcher.on('error', this.#stirred);
    }
  }
}

/** Where the files are by name, where links on the way are, and where they lead. */
function directoriesOf(files: readonly string[]): Set<string> {
  const directories = new Set<string>();
  for (const file of files) {
    const place = nearest(dirname(resolve(file)));
    directories.add(place);
    for (let at = place; dirname(at) !== at; at = dirname(at))
      if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true) directories.add(dirname(at));
    try {
      directories.add(dirname(realpathSync(file)));
    } catch {
      // It is gone for the moment; its own directory tells when it is back.
    }
  }
  return directories;
}

/** The directory, or the nearest one above that exists. */
function nearest(directory: string): string {
  let at = directory;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

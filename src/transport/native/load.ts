import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LAYOUT } from './layout.ts';
import type { Addon } from './layout.ts';
import { libcOf } from './libc.ts';

/** The native core with the file that it came from, or why there is none. */
export type Loaded = { readonly addon: Addon; readonly path: string } | { readonly reason: string };

let loaded: Loaded | undefined;

/**
 * Loads the native core. Never throws; the answer is the same for the life of the thread. It is looked for in this order, and the first file that is there has to do:
 *
 *  1. where the environment variable PORTSIDE_NATIVE says, an absolute path: for builds with a sanitizer, and for distributions that keep binaries elsewhere. It loads code into the process,
 *     so it is left alone in a process that runs with more rights than whoever started it, as Node does with NODE_OPTIONS.
 *  2. `build/native/portside.node`: what `npm ci` built in a checkout.
 *  3. `prebuilds/<platform>-<arch>-<libc>/portside.node`: what the package brings along.
 */
export function loadNative(): Loaded {
  loaded ??= load();
  return loaded;
}

function load(): Loaded {
  if (process.platform !== 'linux') return { reason: `the native core is for Linux, and this is ${process.platform}` };
  const named = override();
  if (named !== undefined) {
    if (!isAbsolute(named)) return { reason: `PORTSIDE_NATIVE is ${named}, which is no absolute path` };
    return existsSync(named) ? open(named) : { reason: `PORTSIDE_NATIVE is ${named}, where nothing is` };
  }
  const root = new URL('../../../', import.meta.url);
  if (root.protocol !== 'file:')
    return { reason: 'the package is not in the file system, so its native core is not either' };
  const system = `${process.platform}-${process.arch}-${libcOf(process.execPath)}`;
  const places = ['build/native/portside.node', `prebuilds/${system}/portside.node`];
  const path = places.map((place) => fileURLToPath(new URL(place, root))).find((place) => existsSync(place));
  if (path !== undefined) return open(path);
  return {
    reason: `there is no native core for ${system} (${places.join(' or ')}); \`node native/build.ts\` builds it`,
  };
}

function override(): string | undefined {
  const named = process.env['PORTSIDE_NATIVE'];
  if (named === undefined || named === '') return undefined;
  const same = process.getuid?.() === process.geteuid?.() && process.getgid?.() === process.getegid?.();
  return same ? named : undefined;
}

function open(path: string): Loaded {
  try {
    const addon = createRequire(import.meta.url)(path) as Addon;
    if (addon.layout === LAYOUT) return { addon, path };
    return { reason: `${path} is of another version; \`node native/build.ts\` builds this one's` };
  } catch (error) {
    return { reason: `${path} does not load: ${error instanceof Error ? error.message : String(error)}` };
  }
}

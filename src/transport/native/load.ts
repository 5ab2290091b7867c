import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { LAYOUT } from './layout.ts';
import type { Addon } from './layout.ts';

/** The native core, or why there is none. */
export type Loaded = { readonly addon: Addon } | { readonly reason: string };

let loaded: Loaded | undefined;

/**
 * Loads the native core: `build/native/portside.node` in a checkout, or the prebuilt binary of the package
 * (`prebuilds/<platform>-<arch>/portside.node`). Never throws; the answer is the same for the life of the thread.
 */
export function loadNative(): Loaded {
  loaded ??= load();
  return loaded;
}

function load(): Loaded {
  if (process.platform !== 'linux') return { reason: `the native core is for Linux, and this is ${process.platform}` };
  const root = new URL('../../../', import.meta.url);
  if (root.protocol !== 'file:')
    return { reason: 'the package is not in the file system, so its native core is not either' };
  const places = ['build/native/portside.node', `prebuilds/${process.platform}-${process.arch}/portside.node`];
  const path = places.map((place) => fileURLToPath(new URL(place, root))).find((place) => existsSync(place));
  if (path === undefined) {
    return {
      reason: `there is no native core for ${process.platform} ${process.arch} (${places.join(' or ')}); \`node native/build.ts\` builds it`,
    };
  }
  try {
    const addon = createRequire(import.meta.url)(path) as Addon;
    if (addon.layout === LAYOUT) return { addon };
    return { reason: `${path} is of another version; \`node native/build.ts\` builds this one's` };
  } catch (error) {
    return { reason: `${path} does not load: ${error instanceof Error ? error.message : String(error)}` };
  }
}

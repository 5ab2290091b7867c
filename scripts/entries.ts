import { fileIn, manifest } from './tools.ts';

/** The entries of the package as a user writes them (`portside`, `portside/…`), each with its source file. */
export function entries(): ReadonlyMap<string, string> {
  const { name, exports } = manifest();
  const found = new Map<string, string>();
  for (const [entry, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue;
    found.set(name + entry.slice(1), fileIn(target.default.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts')));
  }
  return found;
}

const known = entries();

/** The source file of an entry of the package, or undefined when a specifier is none. */
export function sourceOf(specifier: string): string | undefined {
  return known.get(specifier);
}

/** Options before anybody has looked at them. */
export type Layer = Readonly<Record<string, unknown>>;

/**
 * Joins layers of options, the weakest first: defaults, config file, command line. What is undefined counts as not given. Plain objects are joined name by name, at
 * any depth; everything else (lists, handlers, buffers, values) is taken from the strongest layer that gives it, and as it is.
 *
 * `instead` lists options that stand for one another, as sets of dotted names with the same parent: `['port', 'endpoint']`, `['tls.cert', 'tls.selfSigned']`. A layer
 * that gives one of a set takes the others away from the weaker layers, so that a port on the command line is not added to an endpoint of the file.
 *
 * Nothing that is given is changed.
 */
export function mergeOptions(
  layers: readonly (Layer | null | undefined)[],
  instead: readonly (readonly string[])[] = [],
): Record<string, unknown> {
  const sets = new Map<string, ReadonlySet<string>>();
  for (const names of instead) for (const name of names) sets.set(name, new Set(names));
  let merged: Record<string, unknown> = {};
  for (const layer of layers) if (layer !== null && layer !== undefined) merged = join(merged, layer, '', sets);
  return merged;
}

function join(
  weak: Layer,
  strong: Layer,
  prefix: string,
  sets: ReadonlyMap<string, ReadonlySet<string>>,
): Record<string, unknown> {
  const given = Object.entries(strong).filter(([, value]) => value !== undefined);
  const gone = new Set<string>();
  for (const [name] of given) for (const other of sets.get(prefix + name) ?? []) gone.add(other);
  const kept = Object.entries(weak).filter(([name, value]) => value !== undefined && !gone.has(prefix + name));
  const joined = given.map(([name, value]): [string, unknown] => {
    if (!isPlain(value)) return [name, value];
    const under = Object.hasOwn(weak, name) ? weak[name] : undefined;
    return [name, join(isPlain(under) ? under : {}, value, `${prefix}${name}.`, sets)];
  });
  // Not by assignment: a file may have an option called __proto__, which is then told as unknown.
  return Object.fromEntries([...kept, ...joined]);
}

function isPlain(value: unknown): value is Layer {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

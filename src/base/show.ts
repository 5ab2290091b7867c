const LONGEST = 48;

/**
 * A value as an error message shows it: short, on one line, and without running code of the value's own
 * (`"x"`, `70000`, `a list of 3`, `an object`, `a Map`).
 *
 * `hidden` gives its kind alone, for values that are secrets.
 */
export function show(value: unknown, hidden = false): string {
  if (hidden && value !== null && value !== undefined) return `${kindOf(value)} (not shown)`;
  switch (typeof value) {
    case 'string':
      return JSON.stringify(shorten(value));
    case 'bigint':
      return `${shorten(String(value))}n`;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'boolean':
    case 'undefined':
      return String(value);
    default:
      return value === null ? 'null' : kindOf(value);
  }
}

/** Cuts a text to some characters, 48 by default, with `…` for the rest. */
export function shorten(text: string, longest: number = LONGEST): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value !== 'object' || value === null)
    return typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`;
  const name = className(value);
  if (name === '' || name === 'Object') return 'an object';
  return `${/^[AEIOU]/i.test(name) ? 'an' : 'a'} ${shorten(name)}`;
}

// Reads property descriptors instead of properties: a getter must not run, or throw, inside an error message.
function className(value: object): string {
  try {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (typeof prototype !== 'object' || prototype === null) return '';
    const maker: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
    if (typeof maker !== 'function') return '';
    const name: unknown = Object.getOwnPropertyDescriptor(maker, 'name')?.value;
    return typeof name === 'string' ? name : '';
  } catch {
    // A proxy may throw from any of these; what it is called matters less than the message it is for.
    return '';
  }
}

/** The name nearest to a misspelt one: at most two slips away (one in short names, case not counted), or undefined. */
export function nearest(word: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  const wanted = word.toLowerCase();
  for (const name of names) {
    const limit = Math.min(word.length, name.length) < 5 ? 1 : 2;
    if (Math.abs(name.length - word.length) > limit) continue;
    const slips = distance(wanted, name.toLowerCase());
    if (slips <= limit && slips < least) {
      least = slips;
      best = name;
    }
  }
  return best;
}

// Optimal string alignment: insertions, deletions, substitutions, and swaps of two neighbours count one each.
function distance(a: string, b: string): number {
  let older: number[] = [];
  let old: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row: number[] = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((old[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (old[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (older[j - 2] ?? 0) + 1);
      row.push(least);
    }
    older = old;
    old = row;
  }
  return old[b.length] ?? 0;
}

import { readFileSync, readdirSync } from 'node:fs';

/** The text of a file of the system; null where it can't be read. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // What can't be read is unknown, and told as such.
    return null;
  }
}

/** The whole numbers in a file of the system; null where it can't be read, or has something else. */
export function numbersIn(path: string): readonly number[] | null {
  const text = textOf(path);
  if (text === null || !/^\d+(?:\s+\d+)*$/u.test(text)) return null;
  return text.split(/\s+/u).map(Number);
}

/** The one number in a file of the system. */
export function numberIn(path: string): number | null {
  const numbers = numbersIn(path);
  return numbers?.length === 1 ? (numbers[0] ?? null) : null;
}

/** How many entries a folder has; null where it can't be read. */
export function entriesIn(path: string): number | null {
  try {
    return readdirSync(path).length;
  } catch {
    // As above.
    return null;
  }
}

/** What was found of one thing that a server needs. */
export interface Finding {
  /** What it is called, for programs: `descriptors`. It does not change. */
  readonly id: string;
  /** `bad`: a server with the defaults can't do here what it promises. `note`: something is missing, unknown, or may surprise. */
  readonly state: 'ok' | 'note' | 'bad';
  /** What there is, in words. */
  readonly found: string;
  /** What it is for. */
  readonly means: string;
  /** What to do about it; null when nothing needs to be done. */
  readonly todo: string | null;
  /** What was read or tried, for programs; null is unknown. */
  readonly values: Readonly<Record<string, Value>>;
}

export type Value = string | number | boolean | null;

/** What stands for a value that can't be read. */
export function known(value: Value): string {
  return value === null ? 'unknown' : String(value);
}

import { show } from './show.ts';

/** One thing that is wrong with an option or argument. */
export interface Problem {
  /** Where: `options.tls.cert`, `options.families[1]`, `port`. */
  readonly path: string;
  /** What: `must be a whole number from 0 to 65535, got "x"`. */
  readonly message: string;
}

// One option may be a list of a million wrong things.
/** How many problems are told at most. */
export const MOST = 32;

/** What is being collected while a value is explained. */
export interface Report {
  readonly problems: Problem[];
  /** Values are secrets here: their kind is told, never what they are. */
  readonly hidden: boolean;
}

/** Adds a problem; those after the 32nd are not kept. */
export function tell(report: Report, path: string, message: string): void {
  if (report.problems.length < MOST) report.problems.push({ path, message });
}

/** What one value has to be. Rules are made once and kept in tables; asking one allocates nothing while all is well. */
export interface Rule<T> {
  /** What it wants, as it reads after "must be": `a whole number from 1 to 65535`. */
  readonly wants: string;
  /** Whether an option has to be given. */
  readonly required: boolean;
  /** Whether it is right; `undefined` is asked about only when it is required. */
  accepts(value: unknown): value is T;
  /** Whether its outer shape is right, so that problems inside of it are worth telling in a union. */
  near(value: unknown): boolean;
  /** Tells what is wrong with a value that was not accepted. */
  explain(value: unknown, path: string, report: Report): void;
}

/** A rule for an option that has to be given. */
export interface RequiredRule<T> extends Rule<T> {
  readonly required: true;
}

/** A rule for a value that is right or wrong as a whole. */
export class Leaf<T> implements Rule<T> {
  readonly wants: string;
  readonly required = false as boolean;
  readonly #test: (value: unknown) => boolean;

  constructor(wants: string, test: (value: unknown) => boolean) {
    this.wants = wants;
    this.#test = test;
  }

  accepts(value: unknown): value is T {
    return this.#test(value);
  }

  near(_value: unknown): boolean {
    return false;
  }

  explain(value: unknown, path: string, report: Report): void {
    tell(report, path, `must be ${this.wants}, got ${show(value, report.hidden)}`);
  }
}

/** Any rule of one's own: what it wants, as it reads after "must be", and the test. The test must not throw. */
export function that<T>(wants: string, test: (value: unknown) => boolean): Rule<T> {
  return new Leaf<T>(wants, test);
}

/** Anything at all. */
export function anything<T = unknown>(): Rule<T> {
  return new Leaf<T>('anything', () => true);
}

/** The limits of a number, inclusive. */
export interface Bounds {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  /** Whether `Infinity` will do; it never does by default. */
  readonly infinite?: boolean | undefined;
}

function bounded(what: string, unit: string, whole: boolean, bounds: Bounds): Rule<number> {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, infinite = false } = bounds;
  let range = '';
  if (bounds.min !== undefined && bounds.max !== undefined) range = ` from ${min} to ${max}`;
  else if (bounds.min !== undefined) range = `, ${min} or more`;
  else if (bounds.max !== undefined) range = `, ${max} or less`;
  const wants = `${what}${unit}${range}${infinite ? ', or Infinity' : ''}`;
  return new Leaf<number>(wants, (value) => {
    if (typeof value !== 'number') return false;
    if (value === Number.POSITIVE_INFINITY) return infinite;
    return (whole ? Number.isSafeInteger(value) : Number.isFinite(value)) && value >= min && value <= max;
  });
}

/** A whole number. */
export function integer(bounds: Bounds = {}): Rule<number> {
  return bounded('a whole number', '', true, bounds);
}

/** A finite number. */
export function number(bounds: Bounds = {}): Rule<number> {
  return bounded('a number', '', false, bounds);
}

/** A time in milliseconds, 0 or more; fractions are well. */
export function milliseconds(bounds: Bounds = {}): Rule<number> {
  return bounded('a number', ' of milliseconds', false, { ...bounds, min: bounds.min ?? 0 });
}

/** A count of bytes, 0 or more. */
export function byteCount(bounds: Bounds = {}): Rule<number> {
  return bounded('a whole number', ' of bytes', true, { ...bounds, min: bounds.min ?? 0 });
}

/** A string; not the empty one unless `empty` is true. */
export function string({ empty = false }: { readonly empty?: boolean | undefined } = {}): Rule<string> {
  return empty
    ? new Leaf('a string', (value) => typeof value === 'string')
    : new Leaf('a string that is not empty', (value) => typeof value === 'string' && value !== '');
}

/** True or false; what is merely truthy won't do. */
export function boolean(): Rule<boolean> {
  return new Leaf('true or false', (value) => typeof value === 'boolean');
}

/** A function, of the type that is named. */
export function fn<F extends (...args: never[]) => unknown = (...args: never[]) => unknown>(): Rule<F> {
  return new Leaf('a function', (value) => typeof value === 'function');
}

/** Bytes: a Uint8Array, and so a Buffer, of any realm. */
export function bytes(): Rule<Uint8Array> {
  return new Leaf(
    'bytes (a Uint8Array)',
    (value) => ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]',
  );
}

/** An instance of a class: `instance(AbortSignal, 'an AbortSignal')`. */
export function instance<T>(type: abstract new (...args: never[]) => T, wants: string): Rule<T> {
  return new Leaf(wants, (value) => value instanceof type);
}

/** One of some values. */
export function oneOf<const V extends readonly (string | number | boolean | null)[]>(...values: V): Rule<V[number]> {
  return new Leaf(orOf(values.map((value) => show(value))), (value) => (values as readonly unknown[]).includes(value));
}

/** `a, b or c`. */
export function orOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.slice(-1).join('')}`;
}

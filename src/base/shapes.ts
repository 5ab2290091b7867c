import { MOST, orOf, tell } from './rules.ts';
import type { Bounds, Report, RequiredRule, Rule } from './rules.ts';
import { nearest, shorten, show } from './show.ts';

/** The rules of an object's options by name. */
export type Fields = Readonly<Record<string, Rule<unknown>>>;

/** What a rule accepts. */
export type InferRule<R> = R extends Rule<infer T> ? T : never;

type GoneKeys<F> = { [K in keyof F]: [InferRule<F[K]>] extends [never] ? K : never }[keyof F];
type NeededKeys<F> = { [K in keyof F]: F[K] extends RequiredRule<unknown> ? K : never }[keyof F];
type Flat<T> = { [K in keyof T]: T[K] };

/** What options that keep to the rules look like. Tombstones don't show. */
export type InferFields<F> = Flat<
  { readonly [K in Exclude<NeededKeys<F>, GoneKeys<F>>]: InferRule<F[K]> } & {
    readonly [K in Exclude<keyof F, NeededKeys<F> | GoneKeys<F>>]?: InferRule<F[K]> | undefined;
  }
>;

/** Looks at what holds between options; told problems by the option's name. */
export type Also<F extends Fields> = (
  options: InferFields<F>,
  problem: (option: keyof F & string, message: string) => void,
) => void;

class ListRule<T> implements Rule<readonly T[]> {
  readonly wants: string;
  readonly required = false as boolean;
  readonly #each: Rule<T>;
  readonly #min: number;
  readonly #max: number;

  constructor(each: Rule<T>, min: number, max: number) {
    this.#each = each;
    this.#min = min;
    this.#max = max;
    let count = '';
    if (max !== Number.POSITIVE_INFINITY) count = ` of ${min} to ${max}`;
    else if (min > 0) count = ` of ${min} or more`;
    this.wants = `a list${count}, each ${each.wants}`;
  }

  accepts(value: unknown): value is readonly T[] {
    if (!this.#fits(value)) return false;
    for (const item of value) if (!this.#each.accepts(item)) return false;
    return true;
  }

  near(value: unknown): boolean {
    return Array.isArray(value);
  }

  explain(value: unknown, path: string, report: Report): void {
    if (!this.#fits(value)) {
      tell(report, path, `must be ${this.wants}, got ${show(value, report.hidden)}`);
      return;
    }
    for (const [i, item] of value.entries()) {
      if (report.problems.length >= MOST) return;
      if (!this.#each.accepts(item)) this.#each.explain(item, `${path}[${i}]`, report);
    }
  }

  #fits(value: unknown): value is readonly unknown[] {
    return Array.isArray(value) && value.length >= this.#min && value.length <= this.#max;
  }
}

/** A list, each of whose items keeps to a rule; `min` and `max` bound how many. */
export function list<T>(each: Rule<T>, { min = 0, max = Number.POSITIVE_INFINITY }: Bounds = {}): Rule<readonly T[]> {
  return new ListRule(each, min, max);
}

type Shape = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Shape {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function inside(path: string, key: string): string {
  if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)) return `${path}[${JSON.stringify(shorten(key))}]`;
  return path === '' ? shorten(key) : `${path}.${shorten(key)}`;
}

class ObjectRule<F extends Fields> implements Rule<InferFields<F>> {
  readonly wants = 'an object of options';
  readonly required = false as boolean;
  readonly #names: readonly string[];
  readonly #rules: readonly Rule<unknown>[];
  readonly #known: ReadonlySet<string>;
  readonly #also: Also<F> | undefined;

  constructor(fields: F, also: Also<F> | undefined) {
    this.#names = Object.keys(fields);
    this.#rules = Object.values(fields);
    this.#known = new Set(this.#names);
    this.#also = also;
  }

  accepts(value: unknown): value is InferFields<F> {
    return isObject(value) && this.#each(value) && this.#cross(value, '', undefined);
  }

  near(value: unknown): boolean {
    return isObject(value);
  }

  explain(value: unknown, path: string, report: Report): void {
    if (!isObject(value)) tell(report, path, `must be ${this.wants}, got ${show(value, report.hidden)}`);
    else if (this.#each(value)) this.#cross(value, path, report);
    else this.#tellEach(value, path, report);
  }

  #each(value: Shape): boolean {
    for (let i = 0; i < this.#names.length; i++) {
      const rule = this.#rules[i] as Rule<unknown>;
      const item = value[this.#names[i] as string];
      if (item === undefined ? rule.required : !rule.accepts(item)) return false;
    }
    // Inherited names are looked at too: options made over a prototype of defaults are options all the same.
    for (const key in value) if (!this.#known.has(key) && value[key] !== undefined) return false;
    return true;
  }

  #tellEach(value: Shape, path: string, report: Report): void {
    for (const key in value) {
      if (!this.#known.has(key) && value[key] !== undefined) this.#tellUnknown(key, path, report);
    }
    for (const [i, key] of this.#names.entries()) {
      const rule = this.#rules[i] as Rule<unknown>;
      const item = value[key];
      if (item !== undefined) {
        if (!rule.accepts(item)) rule.explain(item, inside(path, key), report);
      } else if (rule.required) tell(report, inside(path, key), `is required, and must be ${rule.wants}`);
    }
  }

  #tellUnknown(key: string, path: string, report: Report): void {
    if (report.problems.length >= MOST) return;
    const near = nearest(
      key,
      this.#names.filter((_, i) => !(this.#rules[i] instanceof Tombstone)),
    );
    tell(report, inside(path, key), `is not an option${near === undefined ? '' : `; did you mean "${near}"?`}`);
  }

  #cross(value: Shape, path: string, report: Report | undefined): boolean {
    if (this.#also === undefined) return true;
    let right = true;
    this.#also(value as InferFields<F>, (option, message) => {
      right = false;
      if (report !== undefined) tell(report, inside(path, option), message);
    });
    return right;
  }
}

/** Options within options. `also` looks at what holds between them, once each is right by itself. */
export function object<const F extends Fields>(fields: F, also?: Also<F>): Rule<InferFields<F>> {
  return new ObjectRule<F>(fields, also);
}

class RecordRule<T> implements Rule<Readonly<Record<string, T>>> {
  readonly wants: string;
  readonly required = false as boolean;
  readonly #each: Rule<T>;

  constructor(each: Rule<T>) {
    this.#each = each;
    this.wants = `an object by name, each ${each.wants}`;
  }

  accepts(value: unknown): value is Readonly<Record<string, T>> {
    if (!isObject(value)) return false;
    for (const key in value) if (value[key] !== undefined && !this.#each.accepts(value[key])) return false;
    return true;
  }

  near(value: unknown): boolean {
    return isObject(value);
  }

  explain(value: unknown, path: string, report: Report): void {
    if (!isObject(value)) {
      tell(report, path, `must be ${this.wants}, got ${show(value, report.hidden)}`);
      return;
    }
    for (const key in value) {
      if (report.problems.length >= MOST) return;
      const item = value[key];
      if (item !== undefined && !this.#each.accepts(item)) this.#each.explain(item, inside(path, key), report);
    }
  }
}

/** An object with names of the user's own, whose values keep to one rule. */
export function record<T>(each: Rule<T>): Rule<Readonly<Record<string, T>>> {
  return new RecordRule(each);
}

class UnionRule<T> implements Rule<T> {
  readonly wants: string;
  readonly required = false as boolean;
  readonly #rules: readonly Rule<T>[];

  constructor(rules: readonly Rule<T>[]) {
    this.#rules = rules;
    this.wants = orOf(rules.map((rule) => rule.wants));
  }

  accepts(value: unknown): value is T {
    for (const rule of this.#rules) if (rule.accepts(value)) return true;
    return false;
  }

  near(value: unknown): boolean {
    return this.#rules.some((rule) => rule.near(value));
  }

  // When the value looks like one of the alternatives, what is wrong inside it says more than the list of alternatives.
  explain(value: unknown, path: string, report: Report): void {
    let best: Report | undefined;
    for (const rule of this.#rules) {
      if (!rule.near(value)) continue;
      const trial: Report = { problems: [], hidden: report.hidden };
      rule.explain(value, path, trial);
      if (best === undefined || trial.problems.length < best.problems.length) best = trial;
    }
    if (best === undefined) tell(report, path, `must be ${this.wants}, got ${show(value, report.hidden)}`);
    else for (const problem of best.problems) tell(report, problem.path, problem.message);
  }
}

/** What keeps to any one of some rules. */
export function union<const R extends readonly Rule<unknown>[]>(...rules: R): Rule<InferRule<R[number]>> {
  return new UnionRule(rules as readonly Rule<unknown>[] as readonly Rule<InferRule<R[number]>>[]);
}

class Wrapped<T> implements Rule<T> {
  readonly wants: string;
  readonly required: boolean;
  readonly #rule: Rule<T>;
  readonly #secret: boolean;

  constructor(rule: Rule<T>, required: boolean, secret: boolean) {
    this.#rule = rule;
    this.#secret = secret;
    this.wants = rule.wants;
    this.required = required;
  }

  accepts(value: unknown): value is T {
    return this.#rule.accepts(value);
  }

  near(value: unknown): boolean {
    return this.#rule.near(value);
  }

  explain(value: unknown, path: string, report: Report): void {
    this.#rule.explain(value, path, this.#secret ? { problems: report.problems, hidden: true } : report);
  }
}

/** An option that has to be given. */
export function required<T>(rule: Rule<T>): RequiredRule<T> {
  return new Wrapped(rule, true, false) as Rule<T> as RequiredRule<T>;
}

/** An option whose value no message shows, nor what is inside it: passwords, keys. */
export function secret<T, R extends boolean>(
  rule: Rule<T> & { readonly required: R },
): Rule<T> & { readonly required: R } {
  return new Wrapped(rule, rule.required, true) as Rule<T> as Rule<T> & { readonly required: R };
}

class Tombstone implements Rule<never> {
  readonly wants = 'left out';
  readonly required = false as boolean;
  readonly #message: string;

  constructor(message: string) {
    this.#message = message;
  }

  accepts(_value: unknown): _value is never {
    return false;
  }

  near(_value: unknown): boolean {
    return false;
  }

  explain(_value: unknown, path: string, report: Report): void {
    tell(report, path, this.#message);
  }
}

/** An option that has another name now: whoever uses the old one is told the new one. */
export function renamed(name: string): Rule<never> {
  return new Tombstone(`is now called "${name}"`);
}

/** An option that is gone; `instead` says what to do, as a sentence without its full stop. */
export function removed(instead: string): Rule<never> {
  return new Tombstone(`is no longer an option: ${instead}`);
}

/**
 * Options are held against tables, so that everything that is wrong with them is said at once, in the same words everywhere.
 *
 * ```ts
 * const connectTable = table('connect', {
 *   port: required(integer({ min: 0, max: 65535 })),
 *   host: string(),
 *   families: list(oneOf('ipv4', 'ipv6')),
 *   signal: instance(AbortSignal, 'an AbortSignal'),
 *   password: secret(string()),
 *   timeoutMs: renamed('timeout'),
 * });
 * const options = check(connectTable, given);
 * ```
 */
import { PortsideError } from './errors.ts';
import type { Problem, Report, Rule } from './rules.ts';
import { object } from './shapes.ts';
import type { Also, Fields, InferFields, InferRule } from './shapes.ts';

export {
  anything,
  boolean,
  byteCount,
  bytes,
  fn,
  instance,
  integer,
  milliseconds,
  number,
  oneOf,
  string,
  that,
} from './rules.ts';
export type { Problem, Rule } from './rules.ts';
export { list, object, record, removed, renamed, required, secret, union } from './shapes.ts';
export type { Also, Fields, InferFields, InferRule } from './shapes.ts';

/** Options or arguments that are wrong: all of the problems at once. Its code is `ERR_PORTSIDE_OPTIONS`. */
export class OptionsError extends PortsideError {
  /** What is wrong; no more than 32 problems are listed. */
  readonly problems: readonly Problem[];

  constructor(op: string, problems: readonly Problem[]) {
    const text = problems.map(({ path, message }) => `${path} ${message}`).join('; ');
    super('ERR_PORTSIDE_OPTIONS', `${op}: ${text}`, { op });
    this.problems = problems;
  }
}
Object.defineProperty(OptionsError.prototype, 'name', { value: 'OptionsError', configurable: true, writable: true });

/** The options of one operation. Made by {@link table}. */
export interface Table<T> {
  /** The operation, which begins the message. */
  readonly name: string;
  readonly rule: Rule<T>;
}

/** What a table or a rule accepts: `Infer<typeof connectTable>`. */
export type Infer<X> = X extends Table<infer T> ? T : InferRule<X>;

/**
 * `true` when a table and a hand-written interface have the same keys, else a type that names those that differ:
 * `const agreed: Agrees<typeof connectTable, ConnectOptions> = true`. That the types of the values agree is held by
 * assigning: `const options: ConnectOptions = check(connectTable, given)`.
 */
export type Agrees<X, I> = [Exclude<keyof I, keyof Infer<X>> | Exclude<keyof Infer<X>, keyof I>] extends [never]
  ? true
  : {
      readonly missingInTable: Exclude<keyof I, keyof Infer<X>>;
      readonly missingInInterface: Exclude<keyof Infer<X>, keyof I>;
    };

/**
 * A table of options: the operation's name, and a rule for each option. All may be left out, except those that are
 * {@link required}. `also` looks at what holds between options; it is called when each is right by itself, and must not throw.
 */
export function table<const F extends Fields>(name: string, fields: F, also?: Also<F>): Table<InferFields<F>> {
  return { name, rule: object(fields, also) };
}

/** Settings of {@link check}. */
export interface CheckOptions {
  /** What the value is called where problems are told; `options` by default, and the empty string names options bare. */
  readonly at?: string | undefined;
}

const none: object = Object.freeze({});

/**
 * Holds options against a table and gives them back, typed and as they are. An option that is undefined counts as left
 * out; undefined as a whole counts as an empty, frozen object. Throws an {@link OptionsError} (`ERR_PORTSIDE_OPTIONS`)
 * with every problem.
 */
export function check<T>(against: Table<T>, value: unknown, options?: CheckOptions): T {
  return checkValue(against.name, options?.at ?? 'options', against.rule, value === undefined ? none : value);
}

/**
 * Holds one argument against a rule and gives it back, typed and as it is:
 * `checkValue('listen', 'port', integer({ min: 0, max: 65535 }), port)`.
 * Throws an {@link OptionsError} (`ERR_PORTSIDE_OPTIONS`).
 */
export function checkValue<T>(op: string, name: string, rule: Rule<T>, value: unknown): T {
  if (rule.accepts(value)) return value;
  const report: Report = { problems: [], hidden: false };
  rule.explain(value, name, report);
  throw new OptionsError(op, report.problems);
}

import { boolean, byteCount, check, table, that } from '../base/options.ts';
import { shorten, show } from '../base/show.ts';
import type { Codec } from './codec.ts';
import { frameInvalid } from './frame-decoder.ts';
import { encodeText, LineDecoder } from './lines.ts';
import type { LineRules } from './lines.ts';
import type { SchemaInput, SchemaIssue, SchemaOutput, StandardSchemaV1 } from './standard-schema.ts';
import { fromUtf8 } from './utf8.ts';

/** Settings of `jsonLines`. */
export interface JsonLinesOptions<S extends StandardSchemaV1 = StandardSchemaV1> {
  /** What each value that arrives has to be, as a schema of any library that follows Standard Schema v1. It has to answer at once: schemas that give promises are not supported. @default any JSON */
  readonly schema?: S | undefined;
  /** The longest line, in bytes without its ending. @default 1048576 */
  readonly maxLength?: number | undefined;
  /** Whether a last line may do without an ending; else that is ERR_PORTSIDE_UNEXPECTED_END. @default true */
  readonly openEnd?: boolean | undefined;
}

const jsonLinesTable = table('jsonLines', {
  schema: that<StandardSchemaV1>('a schema that follows Standard Schema v1', isSchema),
  maxLength: byteCount({ min: 1, max: 2 ** 28 }),
  openEnd: boolean(),
});

function isSchema(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || !('~standard' in value))
    return false;
  const props = value['~standard'];
  if (typeof props !== 'object' || props === null) return false;
  return 'version' in props && props.version === 1 && 'validate' in props && typeof props.validate === 'function';
}

/**
 * One JSON value on each line (https://jsonlines.org), held against a schema when there is one, and typed by it.
 *
 * A line longer than `maxLength` bytes (1 MiB by default) is ERR_PORTSIDE_FRAME_TOO_LONG; one that is not UTF-8 or not
 * JSON (an empty one too), or does not fit the schema, is ERR_PORTSIDE_FRAME_INVALID, with the schema's issues as `cause`. What
 * is sent is not held against the schema, only against what JSON can say and the limit.
 */
export function jsonLines<S extends StandardSchemaV1>(
  options: JsonLinesOptions<S> & { readonly schema: S },
): Codec<SchemaOutput<S>, SchemaInput<S>>;
export function jsonLines(options?: JsonLinesOptions): Codec<unknown>;
export function jsonLines(options?: JsonLinesOptions): Codec<unknown> {
  const { schema, maxLength = 1_048_576, openEnd = true }: JsonLinesOptions = check(jsonLinesTable, options);
  const rules: LineRules = { name: 'json-lines', maxLength, openEnd };
  const read = schema === undefined ? parse : (line: Uint8Array) => validate(schema, parse(line));
  return {
    name: rules.name,
    decoder: () => new LineDecoder(rules, read),
    encode: (value) => encodeText(rules, stringify(value), '\n', false),
  };
}

function parse(line: Uint8Array): unknown {
  const text = fromUtf8(line);
  if (text === undefined) throw frameInvalid('json-lines', 'decode', 'a line is not UTF-8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw frameInvalid('json-lines', 'decode', text === '' ? 'a line is empty' : 'a line is not JSON', error);
  }
}

function stringify(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw frameInvalid('json-lines', 'encode', `JSON can't say ${show(value)}`, error);
  }
  if (text === undefined) throw frameInvalid('json-lines', 'encode', `JSON can't say ${show(value)}`);
  return text;
}

function validate(schema: StandardSchemaV1, value: unknown): unknown {
  let result: ReturnType<StandardSchemaV1['~standard']['validate']>;
  try {
    result = schema['~standard'].validate(value);
  } catch (error) {
    throw frameInvalid('json-lines', 'decode', 'the schema failed on a value', error);
  }
  if ('then' in result) {
    // Nobody will wait for it, and its failure would end the process.
    Promise.resolve(result).catch(() => {});
    throw frameInvalid('json-lines', 'decode', 'the schema validates asynchronously, which is not supported');
  }
  if (result.issues === undefined) return result.value;
  throw frameInvalid(
    'json-lines',
    'decode',
    `a value does not fit the schema: ${telling(result.issues)}`,
    result.issues,
  );
}

const MOST_TOLD = 3;

function telling(issues: readonly SchemaIssue[]): string {
  const told = issues.slice(0, MOST_TOLD).map(({ message, path = [] }) => {
    const keys = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return keys === '' ? shorten(message, 120) : `${shorten(keys)}: ${shorten(message, 120)}`;
  });
  const others = issues.length - told.length;
  return `${told.join('; ')}${others > 0 ? `; and ${others} more` : ''}`;
}

import { logText, withoutSecrets } from './log-text.ts';

/** How deep values are followed, and how many parts and characters one line may have. */
const DEPTH = 5;
const MOST_PARTS = 256;
const MOST_CHARACTERS = 16_384;
/** Characters of one text, and of an error's message. */
const LONGEST = 2_048;
const LONGEST_MESSAGE = 500;
const MOST_FRAMES = 20;

/** Names of fields whose values are not shown. */
const SECRET = /(?:password|passwd|passphrase|secret|token|authorization|cookie|api[-_]?key|private[-_]?key)$/iu;

type Fields = Record<string, unknown>;

/** What is left for one line. */
interface Budget {
  parts: number;
  characters: number;
}

/** Fields as they are written, and how many characters they come to. */
export interface PlainFields {
  readonly fields: Fields;
  readonly weight: number;
}

/**
 * The fields of a line as plain data of bounded size, which can be cloned and be JSON: bytes are only counted, values under names of secrets hidden, errors told by type, code,
 * message, stack and causes, and the rest cut to 16,384 characters. An Error instead of fields becomes `err`, and what has no fields `value`. Never throws.
 */
export function plainFields(given: object): PlainFields {
  const budget: Budget = { parts: MOST_PARTS, characters: MOST_CHARACTERS };
  const told = plainObject(given, budget, 1);
  const weight = MOST_CHARACTERS - budget.characters + 64;
  if (given instanceof Error) return { fields: { err: told }, weight };
  // A date, a URL, bytes or a list has no fields.
  const named = typeof told === 'object' && told !== null && !Array.isArray(told);
  return { fields: named ? (told as Fields) : { value: told }, weight };
}

function plain(value: unknown, budget: Budget, depth: number): unknown {
  budget.parts -= 1;
  budget.characters -= 8;
  if (budget.parts < 0) return '…';
  switch (typeof value) {
    case 'string':
      return spend(value, budget);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'bigint':
      return spend(value.toString().slice(0, LONGEST), budget);
    case 'object':
      return value === null ? null : plainObject(value, budget, depth);
    default:
      return undefined;
  }
}

function plainObject(value: object, budget: Budget, depth: number): unknown {
  try {
    if (value instanceof Error) {
      const told = errorFields(value);
      budget.characters -= lengthOf(told);
      return told;
    }
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
    if (value instanceof URL) return spend(value.href, budget);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer)
      return `[${value.byteLength} bytes]`;
    if (depth > DEPTH) return '…';
    if (Array.isArray(value)) return listOf(value, budget, depth);
    if (value instanceof Set) return listOf([...value], budget, depth);
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const fields: Fields = {};
    for (const [name, one] of entries) {
      if (budget.parts <= 0 || budget.characters <= 0) {
        fields['…'] = 'more';
        break;
      }
      const key = logText(String(name), 100);
      budget.characters -= key.length;
      const told = SECRET.test(key) && isSecret(one) ? '[hidden]' : plain(one, budget, depth + 1);
      if (told !== undefined && key !== '__proto__') fields[key] = told;
    }
    return fields;
  } catch {
    // A getter or a proxy threw.
    return '[unreadable]';
  }
}

/** Whether there is something to hide: that there is a token is no secret. */
function isSecret(value: unknown): boolean {
  return value !== null && value !== undefined && typeof value !== 'boolean';
}

function listOf(list: readonly unknown[], budget: Budget, depth: number): unknown[] {
  const told: unknown[] = [];
  for (const one of list) {
    if (budget.parts <= 0 || budget.characters <= 0) {
      told.push('…');
      break;
    }
    told.push(plain(one, budget, depth + 1) ?? null);
  }
  return told;
}

function spend(text: string, budget: Budget): string {
  const most = Math.max(1, Math.min(LONGEST, budget.characters));
  const clean = withoutSecrets(text.length > 4 * LONGEST ? text.slice(0, 4 * LONGEST) : text);
  const told = clean.length <= most ? clean : `${clean.slice(0, most - 1)}…`;
  budget.characters -= told.length;
  return told;
}

/** An error as a log has it. */
export interface ErrorFields {
  readonly type: string;
  readonly code?: string | undefined;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly cause?: ErrorFields | undefined;
}

/** What a log tells of what was thrown: never more than these, as errors carry requests, options and keys with them. What strangers can have had a hand in is cut and made visible. */
export function errorFields(thrown: unknown, depth = 3): ErrorFields {
  if (!(thrown instanceof Error))
    return { type: 'thrown', message: logText(typeof thrown === 'string' ? thrown : kind(thrown)) };
  try {
    const { name, message, stack, cause } = thrown;
    const { code } = thrown as { code?: unknown };
    const type = logText(String(name), 100);
    const told = logText(String(message), LONGEST_MESSAGE);
    return {
      type,
      ...(typeof code === 'string' ? { code: logText(code, 100) } : {}),
      message: told,
      ...(typeof stack === 'string' ? { stack: framesOf(type, told, stack) } : {}),
      ...(cause instanceof Error && depth > 0 ? { cause: errorFields(cause, depth - 1) } : {}),
    };
  } catch {
    return { type: 'thrown', message: 'what was thrown could not be read' };
  }
}

function lengthOf({ type, code = '', message, stack = '', cause }: ErrorFields): number {
  const own = type.length + code.length + message.length + stack.length;
  return cause === undefined ? own : own + lengthOf(cause);
}

/** What an error says; never throws, whatever its message was made to be. */
export function messageOf(error: Error): string {
  try {
    return String(error.message);
  } catch {
    return 'what it says could not be read';
  }
}

/** The stack, begun by the message as it is told: the one that it has may have lines of a stranger's. */
function framesOf(type: string, message: string, stack: string): string {
  const frames = stack
    .slice(0, 16_384)
    .split('\n')
    .filter((line) => /^\s+at /u.test(line))
    .slice(0, MOST_FRAMES)
    .map((line) => `\n    ${logText(line.trim(), 300)}`);
  return `${type}: ${message}${frames.join('')}`;
}

function kind(thrown: unknown): string {
  return thrown === null ? 'null' : `a value of type ${typeof thrown}`;
}

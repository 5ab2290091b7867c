import { isPortsideError } from '../base/errors.ts';
import { show } from '../base/show.ts';
import type { ActorId } from './endpoint.ts';
import type { Datum } from './topic-types.ts';

/** An error as plain data: it can be kept, compared, shown and cloned, and holds nothing of its actor alive. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  /** The `code` of the error where it is a text. */
  readonly code: string | undefined;
  readonly stack: string | undefined;
  /** What it came from, four levels deep at most. */
  readonly cause: PlainError | undefined;
}

/** Why an endpoint is gone, or why its actor ended. */
export type EndReason =
  /** Its actor withdrew it, and said why or did not. */
  | { readonly kind: 'withdrawn'; readonly detail: Datum | undefined }
  /** Another one took its name and place, with another topic or interest. */
  | { readonly kind: 'replaced' }
  /** The actor quit, or `by` told it to. */
  | { readonly kind: 'quit'; readonly by: ActorId; readonly detail: Datum | undefined }
  /** The actor threw, or what it waited for was rejected. */
  | { readonly kind: 'failed'; readonly error: PlainError }
  /** An actor that it was linked with ended. */
  | { readonly kind: 'linked'; readonly actor: ActorId; readonly reason: EndReason }
  /** The actor had no endpoint, no queue and no work outstanding. */
  | { readonly kind: 'done' }
  /** The space ended. */
  | { readonly kind: 'stopped'; readonly detail: Datum | undefined };

const DEPTH = 4;
const LONGEST = 4_096;

/** Whatever was thrown, as plain data. Never throws. */
export function plainError(thrown: unknown): PlainError {
  try {
    return describe(thrown, DEPTH);
  } catch {
    return bare('what was thrown could not be read');
  }
}

function describe(thrown: unknown, depth: number): PlainError {
  if (!(thrown instanceof Error) && !isPortsideError(thrown)) return bare(`thrown: ${show(thrown)}`);
  const { name, message, stack, cause } = thrown;
  const { code } = thrown as { code?: unknown };
  return Object.freeze({
    name: cut(String(name)),
    message: cut(String(message)),
    code: typeof code === 'string' ? cut(code) : undefined,
    stack: typeof stack === 'string' ? cut(stack) : undefined,
    cause: cause === undefined || depth === 0 ? undefined : describe(cause, depth - 1),
  });
}

function bare(message: string): PlainError {
  return Object.freeze({ name: 'Error', message, code: undefined, stack: undefined, cause: undefined });
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}

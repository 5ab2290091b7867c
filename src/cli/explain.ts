import { isPortsideError } from '../base/errors.ts';
import { show } from '../base/show.ts';
import { WorkerError } from '../parallel/worker-error.ts';

/** How many causes behind an error are shown. */
const MOST_CAUSES = 8;

/** One line for what went wrong; with `verbose` the stack and the causes too. */
export function explain(error: unknown, verbose: boolean): string {
  if (error instanceof WorkerError) return ofWorker(error, verbose);
  if (verbose) return `${long(error)}${causes(error)}`;
  if (isPortsideError(error)) return error.message;
  return `${short(error)}${HINT}`;
}

const HINT = ' (--verbose shows where it comes from)';

/** Where what befell a worker was told is of no use to anybody, but where it happened is. */
function ofWorker({ message, cause }: WorkerError, verbose: boolean): string {
  const [line = ''] = message.split('\n');
  if (!(cause instanceof Error)) return line;
  if (verbose) return `${line}\n${explain(cause, true)}`;
  return `${line}${placeOf(cause)}${isPortsideError(cause) ? '' : HINT}`;
}

/** Of a mistake in the text of a module, in which file and line it is: its stack begins with it, and its message does not tell. */
function placeOf({ stack = '' }: Error): string {
  const [, place] = /^(?:file:\/\/)?(\/[^\n]*:\d+)\n/u.exec(stack) ?? [];
  return place === undefined ? '' : `, in ${place}`;
}

function short(error: unknown): string {
  if (!(error instanceof Error)) return show(error);
  const [line = ''] = error.message.split('\n');
  return line === '' ? error.name : line;
}

function long(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : show(error);
}

function causes(error: unknown): string {
  let text = '';
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < MOST_CAUSES; depth += 1) {
    text += `\ncaused by: ${long(cause)}`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return text;
}

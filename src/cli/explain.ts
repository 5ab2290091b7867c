import { isPortsideError } from '../base/errors.ts';
import { show } from '../base/show.ts';

/** How many causes behind an error are shown. */
const MOST_CAUSES = 8;

/** One line for what went wrong; with `verbose` the stack and the causes too. */
export function explain(error: unknown, verbose: boolean): string {
  if (verbose) return `${long(error)}${causes(error)}`;
  if (isPortsideError(error)) return error.message;
  return `${short(error)} (--verbose shows where it comes from)`;
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

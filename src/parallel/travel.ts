import { OptionsError } from '../base/options.ts';
import type { Problem } from '../base/options.ts';
import type { ParallelOptions } from './options.ts';

/** What goes into the workers as it is, and is not the house's own. */
const names = ['workerData', 'tls', 'proxy', 'listen', 'whenFull', 'clientPrefix', 'deadlines'] as const;

/** Looks whether options can be cloned into threads, before anything is opened for them. Throws ERR_PORTSIDE_OPTIONS, and names those that can't. */
export function checkTravel(options: ParallelOptions): void {
  const problems: Problem[] = [];
  for (const name of names) {
    try {
      structuredClone(options[name]);
    } catch (error) {
      problems.push({ path: `options.${name}`, message: `can't be cloned into a worker${because(error)}` });
    }
  }
  if (problems.length > 0) throw new OptionsError('startParallel', problems);
}

function because(error: unknown): string {
  if (!(error instanceof Error)) return '';
  // The message quotes a function with all of its source.
  return `: ${error.message.length > 80 ? `${error.message.slice(0, 80)}…` : error.message}`;
}

import { pathToFileURL } from 'node:url';
import type { WorkersConfig } from '../parallel/config.ts';
import type { ParallelOptions } from '../parallel/options.ts';
import type { ServerOptions } from '../server/options.ts';
import type { LoadedConfig } from './config-file.ts';

/** Options whose values can't travel, or are each worker's own: workers take them from the config file themselves. */
const THEIRS = ['context', 'onStart', 'onStop', 'onError', 'prepareHardClose', 'ambient'] as const;

/** What `startParallel` is given for the options of one server and how workers serve. */
export function parallelOptions(
  options: ServerOptions,
  { workers, ...how }: WorkersConfig,
  config: LoadedConfig | null,
): ParallelOptions {
  const shared = Object.entries(options).filter(([name]) => !(THEIRS as readonly string[]).includes(name));
  const theirs = [...THEIRS, 'refuseWith'].some((name) => config?.options[name] !== undefined);
  return {
    ...(Object.fromEntries(shared) as Omit<ParallelOptions, 'transport'>),
    ...how,
    parallelism: workers,
    optionsModule: theirs && config !== null ? pathToFileURL(config.file) : undefined,
  };
}

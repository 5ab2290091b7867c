import type { ResourceLimits } from 'node:worker_threads';
import {
  anything,
  fn,
  integer,
  list,
  milliseconds,
  number,
  object,
  oneOf,
  record,
  string,
  table,
  that,
  union,
} from '../base/options.ts';
import type { Rule, Table } from '../base/options.ts';
import type { FieldsFor } from '../net/option-rules.ts';
import type { Connection } from '../net/connection.ts';
import { serverFields, whereOrNowhere } from '../server/options.ts';
import type { Given, ServerOptions } from '../server/options.ts';
import { dispatchRule } from './dispatch.ts';
import type { Dispatch } from './dispatch.ts';
import type { ParallelServer } from './parallel-server.ts';
import type { RestartOptions } from './supervision.ts';

/** What becomes of the others when a worker dies: it is started again; they go on without it; or the whole listener stops. */
export type OnWorkerDeath = 'restart' | 'shrink' | 'stop';

/**
 * Options of {@link startParallel}: those of a server, which hold over all workers as if they were one, and how there are many.
 *
 * What is no plain data can't travel into threads: `onError`, `prepareHardClose`, `context`, and what a worker does at its start and end are
 * exported by the worker's module as `options` ({@link WorkerOptions}), or by a module of their own (`optionsModule`).
 */
export interface ParallelOptions extends Omit<
  ServerOptions,
  // What runs in the workers, or in the parent in another form.
  | 'context'
  | 'onStart'
  | 'onStop'
  | 'onError'
  | 'prepareHardClose'
  | 'shutdownHandler'
  | 'permits'
  | 'transport'
  | 'ambient'
> {
  /** How many workers; `cores`: as many as the process may use at a time. @default 'cores' */
  parallelism?: number | 'cores' | undefined;
  /** Which worker a connection goes to. @default 'least-busy' */
  dispatch?: Dispatch | undefined;
  /** @default 'restart' */
  onWorkerDeath?: OnWorkerDeath | undefined;
  /** How soon and how often workers are started again. */
  restart?: RestartOptions | undefined;
  /** Milliseconds in which all workers have to be ready; then the start fails, and nothing is left of it. @default 60000 */
  bootTimeout?: number | undefined;
  /** Milliseconds without a turn of its event loop after which a worker is taken for dead and ended; Infinity: never. @default 30000 */
  watchdog?: number | undefined;
  /** Connections that may be on their way to one worker; when it is so many to each, none is accepted. @default 128 */
  queue?: number | undefined;
  /** What carries the bytes; `auto` is the native core where it loads. A module is one that exports a `transport` of your own. @default 'auto' */
  transport?: 'auto' | 'node' | 'native' | URL | undefined;
  /**
   * A module that exports the {@link WorkerOptions} as `options` or default, or a function that gives them, when the worker's own does not. When it is the worker's own, as a
   * config file may be, the handler is one of them: `handler`.
   */
  optionsModule?: string | URL | undefined;
  /** Modules that each worker loads before its own, as `node --import` does. */
  preload?: readonly (string | URL)[] | undefined;
  /** As for `new Worker`: cloned into each; also `data` of `receiveConnections()`. */
  workerData?: unknown;
  /** As for `new Worker`. @default a copy of the parent's */
  env?: NodeJS.ProcessEnv | undefined;
  /** As for `new Worker`: how much memory each may use. */
  resourceLimits?: ResourceLimits | undefined;
  /** As for `new Worker`. @default the parent's */
  execArgv?: readonly string[] | undefined;
  /** As for `new Worker`: `process.argv` of the workers. */
  argv?: readonly string[] | undefined;
  /** Runs in the parent, when the port is bound and all workers are ready, before the first client is accepted. */
  onStart?: ((server: ParallelServer, given: Given | undefined) => void | Promise<void>) | undefined;
  /** Runs in the parent when everything is over, on whatever path. */
  onStop?: ((server: ParallelServer, given: Given | undefined) => void | Promise<void>) | undefined;
  /** Sees in the parent what went wrong: in a handler without an `onError` of its own, in a hook, or with a worker; `worker` is null for the parent. */
  onError?: ((error: unknown, worker: number | null, server: ParallelServer) => unknown) | undefined;
  /** Asked by each connection to `shutdown`; only `true` stops the server. @default () => true */
  shutdownHandler?: ((server: ParallelServer, connection: Connection) => unknown) | undefined;
}

/** What a worker's module may export as `options`: what can't travel from the parent. */
export type WorkerOptions<Ctx = unknown> = Pick<
  ServerOptions<Ctx>,
  'context' | 'onStart' | 'onStop' | 'onError' | 'prepareHardClose' | 'refuseWith' | 'ambient'
>;

const { context: _c, permits: _p, transport: _t, ambient: _a, prepareHardClose: _h, ...shared } = serverFields;

const moduleRule = union(
  string(),
  that<URL>('a URL', (value) => value instanceof URL),
);
const count = integer({ min: 0 });

const restartRule: Rule<RestartOptions> = object({
  delay: milliseconds(),
  maxDelay: milliseconds(),
  limit: count,
  within: milliseconds({ min: 1 }),
});

/** {@link ParallelOptions} that config files have too. */
export type HowWorkers = Pick<
  ParallelOptions,
  'dispatch' | 'onWorkerDeath' | 'restart' | 'bootTimeout' | 'watchdog' | 'queue' | 'resourceLimits'
>;

/** The rule of `parallelism`. */
export const parallelismRule: Rule<number | 'cores'> = union(oneOf('cores'), integer({ min: 1, max: 1_024 }));

/** The rules of {@link HowWorkers}. */
export const howFields: FieldsFor<HowWorkers> = {
  dispatch: dispatchRule,
  onWorkerDeath: oneOf('restart', 'shrink', 'stop'),
  restart: restartRule,
  bootTimeout: milliseconds({ min: 1, infinite: true }),
  watchdog: milliseconds({ min: 100, infinite: true }),
  queue: integer({ min: 1, max: 65_536 }),
  resourceLimits: object({
    maxYoungGenerationSizeMb: number({ min: 1 }),
    maxOldGenerationSizeMb: number({ min: 1 }),
    codeRangeSizeMb: number({ min: 1 }),
    stackSizeMb: number({ min: 1 }),
  }) as Rule<ResourceLimits>,
};

type Fields = FieldsFor<Omit<ParallelOptions, 'listen'>> & Pick<typeof serverFields, 'listen'>;

const fields: Fields = {
  ...shared,
  onStart: fn<NonNullable<ParallelOptions['onStart']>>(),
  onStop: fn<NonNullable<ParallelOptions['onStop']>>(),
  onError: fn<NonNullable<ParallelOptions['onError']>>(),
  shutdownHandler: fn<NonNullable<ParallelOptions['shutdownHandler']>>(),
  ...howFields,
  parallelism: parallelismRule,
  transport: union(
    oneOf('auto', 'node', 'native'),
    that<URL>('the URL of a module', (value) => value instanceof URL),
  ),
  optionsModule: moduleRule,
  preload: list(moduleRule),
  workerData: anything(),
  env: record(anything()) as Rule<NodeJS.ProcessEnv>,
  execArgv: list(string({ empty: true })),
  argv: list(string({ empty: true })),
};

/** The rules of {@link ParallelOptions}. */
export const parallelTable: Table<ParallelOptions> = table('startParallel', fields, (options, problem) => {
  whereOrNowhere(options, problem);
}) as Table<ParallelOptions>;

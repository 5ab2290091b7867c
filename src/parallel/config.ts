import { table } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import type { Connection } from '../net/connection.ts';
import { serverFields, whereOrNowhere } from '../server/options.ts';
import type { ServerOptions } from '../server/options.ts';
import type { Server } from '../server/server.ts';
import { howFields, parallelismRule } from './options.ts';
import type { HowWorkers } from './options.ts';
import type { ParallelServer } from './parallel-server.ts';

/** How many threads serve, and how. */
export interface WorkersConfig extends HowWorkers {
  /** Worker threads that serve; `cores`: as many as the process may use at a time. @default none: the main thread serves, and what else is said of workers is without effect */
  workers?: number | 'cores' | undefined;
}

/**
 * Options of a server in a file of their own (`portside.config.ts`), and perhaps what to serve.
 *
 * With `workers`, the file is loaded in each of them too: `context`, `onStart`, `onStop`, `onError` and `prepareHardClose` are each worker's own, with its own `Server`. `dispatch` and
 * `shutdownHandler` run in the parent, and `refuseWith` wherever a client is refused.
 */
export interface Config<Ctx = unknown>
  extends Omit<ServerOptions<Ctx>, 'log' | 'permits' | 'signal' | 'shutdownHandler'>, WorkersConfig {
  /** A handler, or the path of the module that exports one. */
  handler?: unknown;
  /** Asked by each connection to `shutdown`; only `true` stops the server, which is a {@link ParallelServer} when there are `workers`. @default () => true */
  shutdownHandler?: ((server: Server<Ctx> | ParallelServer, connection: Connection) => unknown) | undefined;
}

/** Gives options back, with their types checked and inferred, to be shared by a module and the command (`portside.config.ts`). */
export function defineConfig<Ctx = unknown>(config: Config<Ctx>): Config<Ctx> {
  return config;
}

/** The rules of {@link Config}, but for its `handler`, and with what a program may say beside. */
export const configTable: Table<ServerOptions<never> & WorkersConfig> = table(
  'serve',
  { ...serverFields, ...howFields, workers: parallelismRule },
  (options, problem) => {
    whereOrNowhere(options, problem);
  },
) as Table<ServerOptions<never> & WorkersConfig>;

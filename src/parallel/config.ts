import { list, oneOf, string, table, that } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import type { Connection } from '../net/connection.ts';
import { parseEndpoint } from '../net/endpoint.ts';
import { levelRule } from '../server/logger.ts';
import type { LeastLevel } from '../server/logger.ts';
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

/** How the command writes its log. */
export interface LogConfig {
  /** The least level that is written to the log. @default 'info' */
  logLevel?: LeastLevel | undefined;
  /** `pretty`: for people; `json`: a JSON object a line, what the command itself says among them; `auto`: pretty at a terminal, and else JSON lines beside what the command says. @default 'auto' */
  logFormat?: 'auto' | 'pretty' | 'json' | undefined;
}

/** Where the command opens its admin endpoint. */
export interface AdminConfig {
  /** Where a server is looked at and acted on while it serves: `127.0.0.1:7001`, `:7001` (loopback), `/run/x.sock`, `fd://3`, `systemd://name`. @default false: nowhere */
  admin?: string | false | undefined;
  /** The file of the token that has to be shown there; needed where others than this machine may come. @default none */
  adminTokenFile?: string | undefined;
  /** Names by which it is asked for, beside those of loopback and the address itself. */
  adminNames?: readonly string[] | undefined;
}

/**
 * Options of a server in a file of their own (`portside.config.ts`), and perhaps what to serve.
 *
 * With `workers`, the file is loaded in each of them too: `context`, `onStart`, `onStop`, `onError` and `prepareHardClose` are each worker's own, with its own `Server`. `dispatch` and
 * `shutdownHandler` run in the parent, and `refuseWith` wherever a client is refused.
 */
export interface Config<Ctx = unknown>
  extends
    Omit<ServerOptions<Ctx>, 'log' | 'logger' | 'permits' | 'signal' | 'shutdownHandler'>,
    WorkersConfig,
    LogConfig,
    AdminConfig {
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
export const configTable: Table<ServerOptions<never> & WorkersConfig & LogConfig & AdminConfig> = table(
  'serve',
  {
    ...serverFields,
    ...howFields,
    workers: parallelismRule,
    logLevel: levelRule,
    logFormat: oneOf('auto', 'pretty', 'json'),
    admin: that<string | false>(
      'an endpoint, as in 127.0.0.1:7001 or /run/x.sock, or false',
      (value) => value === false || (typeof value === 'string' && isEndpoint(value)),
    ),
    adminTokenFile: string(),
    adminNames: list(
      that<string>('a host name', (value) => typeof value === 'string' && /^[a-z0-9._-]{1,253}$/iu.test(value)),
      { max: 100 },
    ),
  },
  (options, problem) => {
    whereOrNowhere(options, problem);
  },
) as Table<ServerOptions<never> & WorkersConfig & LogConfig & AdminConfig>;

function isEndpoint(text: string): boolean {
  try {
    parseEndpoint(text, 'server', 'admin');
    return true;
  } catch {
    return false;
  }
}

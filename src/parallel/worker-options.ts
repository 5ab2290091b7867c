import { lowestLevel } from '../server/logger.ts';
import type { LogLevel } from '../server/logger.ts';
import type { AdmissionOptions, EndpointOptions, ServerChanges, ServerOptions } from '../server/options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { defined } from './defined.ts';
import type { ParallelOptions } from './options.ts';

/** What of an endpoint's options is for its connections, and so for the workers: all but where it is bound. */
export function workerPlaceOptions(place: EndpointOptions, tls: TlsServerOptions | undefined): EndpointOptions {
  const { highWaterMark, writeLimit, readAhead, linger, noDelay, keepAlive, deadlines, proxy, backlog, reuse } = place;
  return defined({
    highWaterMark,
    writeLimit,
    readAhead,
    linger,
    noDelay,
    keepAlive,
    deadlines,
    proxy,
    backlog,
    reuse,
    tls,
  });
}

/** What holds for a whole server, and is done by its workers. */
export interface WorkerServerOptions extends Omit<ServerOptions, 'listen' | 'log' | 'logger'> {
  /** The least level of its log, which is the parent's to write; none without one. */
  readonly logLevel?: LogLevel | undefined;
}

/** What of a server's options its workers have too. */
export function workerServerOptions(options: ParallelOptions): WorkerServerOptions {
  const { verbose, accessLog, logger } = options;
  const logLevel = logger === undefined ? undefined : (lowestLevel(logger) ?? undefined);
  return defined({ ...workersAdmission(options, options), verbose, accessLog, logLevel });
}

/** What of the changes of a running server is for its workers. */
export function workerChanges(changes: ServerChanges, options: ParallelOptions): ServerChanges {
  const { deadlines } = changes;
  return defined({ ...workersAdmission(changes, options), deadlines });
}

/** What workers do of admission: under `kernel` all of it; else the parent has looked at who comes, but not at who comes through a proxy. */
function workersAdmission(given: AdmissionOptions, options: ParallelOptions): AdmissionOptions {
  const { clientPrefix, refuseWith, whenFull, allow, deny } = given;
  const kernel = options.dispatch === 'kernel';
  return {
    clientPrefix,
    refuseWith: typeof refuseWith === 'function' ? undefined : refuseWith,
    ...(kernel ? { whenFull } : {}),
    ...(kernel || options.proxy !== undefined || listens(options) ? { allow, deny } : {}),
  };
}

/** Whether an endpoint of its own may stand behind a proxy. */
function listens({ listen }: ParallelOptions): boolean {
  const list = Array.isArray(listen) ? (listen as readonly unknown[]) : [listen];
  return list.some((place) => typeof place === 'object' && place !== null && 'proxy' in place);
}

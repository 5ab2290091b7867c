import type { EndpointOptions, ServerChanges, ServerOptions } from '../server/options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
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
    // The parent watches the files.
    tls: tls === undefined ? undefined : { ...tls, watch: false },
  });
}

/** What holds for a whole server, and is done by its workers. */
export function workerServerOptions(options: ParallelOptions): Omit<ServerOptions, 'listen'> {
  const kernel = options.dispatch === 'kernel';
  const { clientPrefix, refuseWith, verbose, whenFull, allow, deny } = options;
  // The parent has looked at who comes, but not at who comes through a proxy.
  const lists = kernel || options.proxy !== undefined || listens(options) ? { allow, deny } : {};
  return defined({
    clientPrefix,
    refuseWith: typeof refuseWith === 'function' ? undefined : refuseWith,
    verbose,
    ...(kernel ? { whenFull } : {}),
    ...lists,
  });
}

/** What of the changes of a running server is for its workers. */
export function workerChanges(changes: ServerChanges, options: ParallelOptions): ServerChanges {
  const kernel = options.dispatch === 'kernel';
  const { clientPrefix, refuseWith, whenFull, allow, deny, deadlines } = changes;
  const lists = kernel || options.proxy !== undefined || listens(options) ? { allow, deny } : {};
  return defined({
    clientPrefix,
    deadlines,
    refuseWith: typeof refuseWith === 'function' ? undefined : refuseWith,
    ...(kernel ? { whenFull } : {}),
    ...lists,
  });
}

/** Whether an endpoint of its own may stand behind a proxy. */
function listens({ listen }: ParallelOptions): boolean {
  const list = Array.isArray(listen) ? (listen as readonly unknown[]) : [listen];
  return list.some((place) => typeof place === 'object' && place !== null && 'proxy' in place);
}

/** Without what is undefined: what is not there can't be in the way of a default. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

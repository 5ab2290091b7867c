import type { Given } from '../server/options.ts';
import type { ParallelOptions } from './options.ts';
import { ParallelServer } from './parallel-server.ts';

/**
 * One listener over many worker threads, as if it were one server: binds, starts all workers on `module`, and accepts when all are ready. Resolves then.
 *
 * `module` exports a handler as its default, or calls `receiveConnections()`. A relative path is relative to the working directory; `new URL('./echo.ts', import.meta.url)` is relative to the
 * file. Rejects as `listen` does, with ERR_PORTSIDE_OPTIONS, with ERR_PORTSIDE_UNSUPPORTED for what the platform can't do together, with a `WorkerError` when a worker
 * could not be started, and with ERR_PORTSIDE_TIMEOUT after `bootTimeout`; then the port is free and no worker is left.
 */
export function startParallel(module: string | URL, options: ParallelOptions, given?: Given): Promise<ParallelServer> {
  return ParallelServer.start(module, options, given);
}

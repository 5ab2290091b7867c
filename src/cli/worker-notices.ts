import type { ParallelOptions } from '../parallel/options.ts';
import type { Reloaded } from '../parallel/parallel-events.ts';
import type { ParallelServer } from '../parallel/parallel-server.ts';
import { peerOf } from '../parallel/remote-error.ts';
import type { WorkerEvent } from '../parallel/crew.ts';
import { WorkerError } from '../parallel/worker-error.ts';
import { formatDuration } from './durations.ts';
import { explain } from './explain.ts';
import { counted } from './notices.ts';
import type { Notices } from './notices.ts';

type Died = Extract<WorkerEvent, { kind: 'died' }>;

/** What the command says of workers. */
export class WorkerNotices {
  readonly #notices: Notices;
  /** Workers that died, and that others are to take the place of. */
  readonly #dead = new Set<number>();

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** What went wrong in a worker, or in the parent, where it is null. */
  readonly failed = (error: unknown, worker: number | null): void => {
    // It is told as what happened to the worker.
    if (error instanceof WorkerError) return;
    const where = worker === null ? '' : `worker ${worker}: `;
    const peer = peerOf(error);
    const whose = peer === undefined ? '' : `the handler failed for ${peer}: `;
    this.#notices.failed(error, where, whose);
  };

  happened(event: WorkerEvent, server: ParallelServer): void {
    switch (event.kind) {
      case 'started':
        if (this.#dead.delete(event.worker)) this.#notices.note(`worker ${event.worker} serves again`);
        break;
      case 'died':
        this.#died(event, server);
        break;
      case 'stopped':
    }
  }

  #died(event: Died, server: ParallelServer): void {
    const { worker, error, lost, next } = event;
    if (next !== null) this.#dead.add(worker);
    const gone = lost === 0 ? '' : ` with ${counted(lost, 'connection')}`;
    const [line = '', ...stack] = explain(error, this.#notices.verbose).split('\n');
    const how = error.op === 'start' ? line : `worker ${worker} died${gone}: ${why(line)}`;
    const ending = server.state === 'draining';
    // That it was too much for the server is decided right after it is told.
    queueMicrotask(() => {
      const then = ending ? '' : `; ${goesOn(next, server)}`;
      this.#notices.warn([`${how}${then}`, ...stack].join('\n'));
    });
  }
}

/** `worker 1 failed: no memory` as it reads after "it died": `no memory`. */
function why(told: string): string {
  return told.replace(/^worker \d+ (failed: )?/u, (_, failed?: string) => (failed === undefined ? 'it ' : ''));
}

/** What becomes of the others. */
function goesOn(next: number | null, server: ParallelServer): string {
  if (next !== null) return `another starts in ${formatDuration(next)}`;
  if (server.state === 'draining' || server.stopped) return 'the server stops';
  const { length } = serving(server);
  return `${counted(length, 'worker')} ${length === 1 ? 'goes' : 'go'} on`;
}

/** How a server is told where it listens: ` with 2 workers, least-busy`. */
export function withWorkers(server: ParallelServer): string {
  return ` with ${counted(serving(server).length, 'worker')}, ${dispatchName(server.options.dispatch)}`;
}

function dispatchName(dispatch: ParallelOptions['dispatch'] = 'least-busy'): string {
  if (typeof dispatch === 'string') return dispatch;
  return typeof dispatch === 'function' ? 'dispatched by a function' : 'hash';
}

/** What a reload came to: `reloaded: 2 new workers serve, 2 old ones drain`. */
export function reloaded(server: ParallelServer, { why }: Reloaded): string {
  const fresh = serving(server).length;
  const old = server.status().workers.filter(({ state }) => state === 'leaving').length;
  const drain = old === 0 ? '' : `, ${old} old ${old === 1 ? 'one drains' : 'ones drain'}`;
  const news = `${fresh} new ${fresh === 1 ? 'worker serves' : 'workers serve'}`;
  return `reloaded: ${news}${drain}${why === null ? '' : `; this could not be seamless: ${why}`}`;
}

function serving(server: ParallelServer): readonly unknown[] {
  return server.status().workers.filter(({ state }) => state === 'serving');
}

import { PortsideError } from '../base/errors.ts';

/** What befell a worker. Its code is `ERR_PORTSIDE_WORKER`, its cause what the worker itself failed with, where that is known. */
export class WorkerError extends PortsideError {
  /** Which one. */
  readonly worker: number;

  constructor(worker: number, message: string, op: string, cause?: unknown) {
    super('ERR_PORTSIDE_WORKER', `worker ${worker} ${message}`, { op, cause });
    this.worker = worker;
  }
}
Object.defineProperty(WorkerError.prototype, 'name', { value: 'WorkerError', configurable: true, writable: true });

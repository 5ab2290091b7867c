import { subscribe } from 'node:diagnostics_channel';
import { workerData } from 'node:worker_threads';

/** What the example is given to count with. */
export interface Counted {
  /** One cell: how many requests were begun, in all workers. */
  readonly begun: SharedArrayBuffer;
}

// The example, as it is, and beside it a count of what Node gives to it.
export { default } from '../../../examples/http.ts';

const { begun } = workerData as Counted;
const cell = new Int32Array(begun);
subscribe('http.server.request.start', () => {
  Atomics.add(cell, 0, 1);
  Atomics.notify(cell, 0);
});

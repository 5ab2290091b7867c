import { workerData } from 'node:worker_threads';
import commands from './commands.ts';

/** Which worker waits while it starts: the first number counts the starts, the second is the one that waits, the third is set when it may go on. */
export type Gate = Int32Array;

const gate = workerData as Gate;
if (Atomics.add(gate, 0, 1) === gate[1]) while (Atomics.load(gate, 2) === 0) await new Promise(setImmediate);

export default commands;

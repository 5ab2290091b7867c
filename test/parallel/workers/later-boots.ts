import { workerData } from 'node:worker_threads';
import commands from './commands.ts';

/** Which starts go wrong: so many after the first. */
export interface LaterBoots {
  /** How often a worker was started. */
  readonly boots: Int32Array;
  readonly fail: number;
  readonly how: 'throw' | 'hang';
}

const { boots, fail, how } = workerData as LaterBoots;
const boot = Atomics.add(boots, 0, 1);
if (boot > 0 && boot <= fail) {
  if (how === 'throw') throw new Error('not this time');
  await new Promise(() => {});
}

export default commands;

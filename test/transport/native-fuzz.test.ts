import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { outcome } from './native-support.ts';
import { descriptors, skip } from './passage-support.ts';

const program = new URL('workers/native-fuzz.ts', import.meta.url);
const fresh = Date.now() % 1_000_000;

describe('wrong use of the core from JavaScript', () => {
  for (const seed of [1, 2, 3, fresh]) {
    test(`any call with anything at any time harms no memory (seed ${seed})`, { skip }, async () => {
      const args = ['--expose-gc', '--disable-warning=ExperimentalWarning', fileURLToPath(program), `${seed}`, '10000'];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 50_000 });
      const { code, signal, out, err } = await outcome(child);
      assert.deepEqual({ code, signal, out }, { code: 0, signal: null, out: 'the end\n' }, err);
    });
  }

  test(`threads that are ended in the middle of it leave no descriptor (seed ${fresh})`, { skip }, async () => {
    const start = async (seed: number, steps: number): Promise<Worker> => {
      const worker = new Worker(program, { workerData: [seed, steps], stdout: true });
      await once(worker, 'message');
      return worker;
    };
    // The first thread opens things for good.
    await (await start(1, 1_000_000_000)).terminate();
    const before = descriptors();
    for (let round = 0; round < 4; round += 1) {
      const workers = await Promise.all([0, 1].map((at) => start(fresh + round * 2 + at, 1_000_000_000)));
      await sleep(20 * round);
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    // And one that ends by itself, with all that it has open.
    const last = await start(fresh, 2_000);
    await once(last, 'exit');
    assert.equal(descriptors(), before);
  });
});

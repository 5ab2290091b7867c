import assert from 'node:assert/strict';
import type { Clock } from '../../src/sync/clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { dialTarget } from './backends.ts';
import type { Backend } from './stage.ts';

const TURNS = 50;

/** A network in memory; `settle` pushes its time where that is virtual. */
export function memoryBackend(clock?: Clock, settle?: () => Promise<void>): Backend {
  const network = memoryNetwork({ seed: 1, clock });
  let next = 0;
  return {
    transport: network.transport,
    target: () => ({ kind: 'memory', name: `place-${next++}` }),
    dialTarget,
    exhaust: (on) => network.exhaustDescriptors(on),
    ...(settle === undefined ? {} : { settle }),
    async cleanup() {
      for (let turn = 0; turn < TURNS && network.open > 0; turn++) {
        await settle?.();
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      assert.equal(network.open, 0, 'ends left open');
      assert.equal(network.listening, 0, 'listeners left open');
    },
  };
}

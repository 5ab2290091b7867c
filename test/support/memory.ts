import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Connection } from '../../src/net/connection.ts';
import type { Server } from '../../src/server/server.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Turns of the loop and collections after which what is still there is held by somebody. */
const ROUNDS = 20;
/** Connections that the engine may still see from a stack or a register. */
const STRAGGLERS = 2;

/** Bytes in use now: JavaScript's heap, and buffers outside of it. */
export function inUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that are held now: what nobody holds any more is collected first. */
export function held(): number {
  gc();
  return inUse();
}

async function collect(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  gc();
}

/** Remembers how much memory there is in use, and every connection that a server had, without holding any of it. */
export async function watchMemory(server: Server): Promise<(allowed: number) => Promise<void>> {
  const gone: WeakRef<Connection>[] = [];
  server.on('close', (connection) => gone.push(new WeakRef(connection)));
  server.on('detach', (connection) => gone.push(new WeakRef(connection)));
  await collect();
  const before = inUse();
  return async (allowed) => {
    let held = 0;
    let more = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await collect();
      held = gone.filter((ref) => ref.deref() !== undefined).length;
      more = inUse() - before;
      if (held <= STRAGGLERS && more <= allowed) return;
    }
    const megabytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MB`;
    assert.ok(held <= STRAGGLERS, `${held} of ${gone.length} connections that are over are still held`);
    assert.fail(`${megabytes(more)} are in use more than before, and ${megabytes(allowed)} may be`);
  };
}

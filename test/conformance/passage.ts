import { describe, test } from 'node:test';
import { arriving } from './passage-arriving.ts';
import { passageAlone } from './passage-alone.ts';
import { crossing } from './crossing.ts';
import type { Crossable } from './crossing.ts';
import { passageEnding } from './passage-ending.ts';
import { giving } from './passage-giving.ts';
import { roaming } from './passage-moving.ts';

/**
 * Holds a transport to the contract of `src/transport/passage.ts`, with threads that run it. What may differ hangs on `transfer` and
 * `handOver` of its flags, and on nothing else. Where it has no passages a test is skipped with the reason instead.
 */
export function passages(name: string, on: Crossable): void {
  describe(`the contract of passages on ${name}`, () => {
    if (on.transport.passages === undefined) {
      const skip = `${on.name} can't move connections between threads on Node ${process.versions.node}, ${process.platform}`;
      test('connections move to other threads', { skip }, () => {});
      return;
    }
    const promise = (what: string, body: Parameters<typeof crossing>[1]): void => void test(what, crossing(on, body));
    roaming(promise, on.transport.flags);
    giving(promise);
    arriving(promise);
    passageEnding(promise, on.transport.flags);
    passageAlone(on);
  });
}

/** Declares a test that has a crossing of its own. */
export type Promises = (what: string, body: Parameters<typeof crossing>[1]) => void;

import { setTimeout as sleep } from 'node:timers/promises';
import { subjectOf } from '../../ops/subject.ts';
import type { SubjectConnection } from '../../ops/subject.ts';
import type { ParallelServer } from '../../parallel/parallel-server.ts';
import type { Server } from '../../server/server.ts';

/** Milliseconds in which who has come has to say something, else he is taken for one who listens. */
const FRESH = 5_000;
/** Milliseconds between looks: at first, and at most. */
const FIRST = 50;
const LONGEST = 800;

/**
 * Resolves when those who came last have said what they want. For a drain they would be idle, and closed before what they have sent is read. Nobody comes any more by then, so that it takes
 * {@link FRESH} milliseconds at most, and some.
 */
export async function settled(server: Server | ParallelServer): Promise<void> {
  const subject = subjectOf(server);
  const until = performance.now() + FRESH + LONGEST;
  for (let pause = FIRST; performance.now() < until; pause = Math.min(LONGEST, 2 * pause)) {
    // After a pause that was too long, what came meanwhile is read first.
    await sleep(pause);
    await new Promise(setImmediate);
    if (subject.state !== 'running' && subject.state !== 'suspended') return;
    if (subject.status().queued === 0 && !(await subject.connections()).some(isFresh)) return;
  }
}

function isFresh({ age, bytesRead, doing }: SubjectConnection): boolean {
  return age < FRESH && (bytesRead === 0 || doing === 'opening');
}

import type { Clock } from '../sync/clock.ts';

/** What comes within the time, or else the other value. */
export function within<T>(clock: Clock, ms: number, work: Promise<T>, late: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = ms === Infinity ? null : clock.after(ms, () => resolve(late));
    work.then(resolve, reject).finally(() => timer?.cancel());
  });
}

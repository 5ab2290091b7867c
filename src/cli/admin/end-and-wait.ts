import type { DrainProgress } from '../../ops/drain-progress.ts';
import { AdminRefused } from './client.ts';
import type { WatchedEvent } from './client.ts';
import type { Asking } from './asking.ts';
import { drainLine } from './reports.ts';

/** Begins the end of a server, and tells how it goes until it is over: a line, or an object of JSON, whenever something has changed. */
export async function endAndWait(
  { client, io, json }: Asking,
  action: 'drain' | 'stop',
  times: Readonly<Record<string, unknown>>,
): Promise<void> {
  const watching = new AbortController();
  try {
    const events = client.events(watching.signal);
    // Whoever watches from before it begins misses nothing.
    let next = await events.next();
    await client.post(`/api/${action}`, times);
    let before = '';
    let over = false;
    for (; next.done !== true; next = await events.next()) {
      const { value } = next;
      if (isStopped(value)) over = true;
      if (value.event !== 'drain') continue;
      const progress = value.data as DrainProgress;
      const { left, closed } = progress;
      if (`${left} ${closed}` === before) continue;
      before = `${left} ${closed}`;
      io.out(json ? `${JSON.stringify(progress)}\n` : `${drainLine(progress)}\n`);
    }
    if (!over) throw new AdminRefused(0, 'ended', 'the server ended without saying how');
    if (!json) io.out('the server has stopped\n');
  } finally {
    watching.abort();
  }
}

function isStopped({ event, data }: WatchedEvent): boolean {
  return event === 'state' && (data as { state?: unknown }).state === 'stopped';
}

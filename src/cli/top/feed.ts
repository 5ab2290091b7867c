import { setTimeout as delay } from 'node:timers/promises';
import type { StatusJson, TickJson } from '../../ops/admin-status.ts';
import type { AdminClient, WatchedEvent } from '../admin/client.ts';
import { firstLine } from '../load-module.ts';

/** What is told of a server. */
export interface Hearer {
  /** It has answered, for the first time or again. */
  reached(status: StatusJson): void;
  happened(event: WatchedEvent): void;
  /** It is not heard any more, and asked again. */
  lost(why: string): void;
}

/** Milliseconds before a server that is gone is asked again. */
const AGAIN = 1_000;

/**
 * Tells how a server is and what happens to it until `signal` is aborted, over its restarts too. Ticks that come sooner than `interval` milliseconds after the one before are left out.
 * Rejects when the server can't be reached, or refuses, at first.
 */
export async function follow(
  client: AdminClient,
  hearer: Hearer,
  interval: number,
  signal: AbortSignal,
): Promise<void> {
  let known = false;
  let stopped = false;
  while (!signal.aborted) {
    try {
      const status = await client.get<StatusJson>('/api/status', signal);
      known = true;
      hearer.reached(status);
      stopped = (await listen(client, hearer, interval, status, signal)) === 'stopped';
      if (signal.aborted) return;
      hearer.lost(stopped ? STOPPED : 'it ended');
    } catch (error) {
      if (signal.aborted) return;
      if (!known) throw error;
      hearer.lost(stopped ? STOPPED : firstLine(error));
    }
    await delay(AGAIN, undefined, { signal }).catch(() => {});
  }
}

const STOPPED = 'it has stopped';

/** Until it ends; gives the state that it was in then. */
async function listen(
  client: AdminClient,
  hearer: Hearer,
  interval: number,
  { at: first, state: before }: StatusJson,
  signal: AbortSignal,
): Promise<string> {
  let last = first;
  let state: string = before;
  for await (const event of client.events(signal)) {
    if (event.event === 'state') ({ state } = event.data as TickJson);
    if (event.event === 'tick') {
      const { at } = event.data as TickJson;
      // They come each second, more or less.
      if (at - last < interval - 500) continue;
      last = at;
    }
    hearer.happened(event);
    if (isLimits(event)) hearer.reached(await client.get<StatusJson>('/api/status', signal));
  }
  return state;
}

/** Limits were changed, which no tick tells. */
function isLimits({ event, data }: WatchedEvent): boolean {
  const { action, result } = (data ?? {}) as { action?: unknown; result?: unknown };
  return event === 'audit' && action === 'limits' && result === 'done';
}

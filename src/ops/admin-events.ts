import type { ServerResponse } from 'node:http';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import { GUARDS, Refused } from './admin-reply.ts';
import type { TickJson } from './admin-status.ts';

/** What watchers are told. */
export type AdminEvent = 'tick' | 'state' | 'refused' | 'trouble' | 'error' | 'worker' | 'drain' | 'audit';

/** Milliseconds from one tick to the next. */
const SECOND = 1_000;
/** Bytes that may wait for a watcher; one for whom more do is let go, and comes again if it likes. */
const MOST_QUEUED = 262_144;
/** Of each kind in a second; what comes more often is counted. */
const MOST_TOLD = 20;

/** Sends what happens to those who watch, as server-sent events. Costs nothing while nobody does. */
export class AdminEvents {
  readonly #watchers = new Set<ServerResponse>();
  readonly #most: number;
  readonly #clock: Clock;
  readonly #look: () => TickJson;
  #timer: TimerHandle | null = null;
  #serial = 0;
  #before: Pick<TickJson, 'refused'> | null = null;
  readonly #told = new Map<AdminEvent, number>();
  readonly #untold = new Map<AdminEvent, number>();

  /** `look`: what a tick tells. */
  constructor(most: number, clock: Clock, look: () => TickJson) {
    this.#most = most;
    this.#clock = clock;
    this.#look = look;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** One more watches, from now on. Throws a {@link Refused} when there are as many as there may be. */
  join(response: ServerResponse): void {
    if (this.#watchers.size >= this.#most)
      throw new Refused(503, 'too-many-watchers', `${this.#most} watch already`, { 'retry-after': '5' });
    response.writeHead(200, { ...GUARDS, 'content-type': 'text/event-stream; charset=utf-8' });
    const tick = this.#look();
    response.write(`retry: 2000\n\n${this.#text('tick', tick)}`);
    this.#watchers.add(response);
    // One that stands behind another in its connection does not hear of the end of that.
    response.req.socket.once('close', () => this.#gone(response));
    if (this.#timer !== null) return;
    this.#before = tick;
    this.#again();
  }

  /** Tells all who watch. Of what comes too often the rest is told as `more` with the next. */
  tell(event: AdminEvent, data: Readonly<Record<string, unknown>>): void {
    if (this.#watchers.size === 0) return;
    const told = (this.#told.get(event) ?? 0) + 1;
    this.#told.set(event, told);
    if (told > MOST_TOLD) {
      this.#untold.set(event, (this.#untold.get(event) ?? 0) + 1);
      return;
    }
    this.#send(event, data);
  }

  /** Ends all of them, in order. */
  close(): void {
    for (const response of this.#watchers) response.end();
    this.#watchers.clear();
    this.#rest();
  }

  #again(): void {
    this.#timer = this.#clock.after(SECOND, () => {
      this.#tick();
      this.#again();
    });
    this.#timer.ref(false);
  }

  #tick(): void {
    const tick = this.#look();
    for (const [event, more] of this.#untold) this.#send(event, { more });
    this.#untold.clear();
    this.#told.clear();
    const refused = difference(tick.refused, this.#before?.refused);
    this.#before = tick;
    this.#send('tick', tick);
    if (refused !== null) this.#send('refused', refused);
    if (tick.drain !== null) this.#send('drain', tick.drain);
  }

  #text(event: AdminEvent, data: object): string {
    this.#serial += 1;
    return `id: ${this.#serial}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  #send(event: AdminEvent, data: object): void {
    // One copy for all.
    const bytes = Buffer.from(this.#text(event, data));
    for (const response of this.#watchers) {
      if (response.writableLength + bytes.length > MOST_QUEUED) response.req.socket.destroy();
      else response.write(bytes);
    }
  }

  #gone(response: ServerResponse): void {
    this.#watchers.delete(response);
    if (this.#watchers.size === 0) this.#rest();
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#told.clear();
    this.#untold.clear();
  }
}

/** What has been counted since; null when nothing was. */
function difference(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>> = {},
): Readonly<Record<string, number>> | null {
  const more = Object.entries(now)
    .map(([name, count]): [string, number] => [name, count - (before[name] ?? 0)])
    .filter(([, count]) => count > 0);
  return more.length === 0 ? null : Object.fromEntries(more);
}

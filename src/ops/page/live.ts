import type { StatusJson, TickJson } from '../admin-status.ts';
import type { AuditEntry } from '../audit.ts';
import type { HistoryJson } from '../history.ts';
import { Unanswered, reasonOf } from './api.ts';
import type { Api } from './api.ts';

/** Milliseconds without a tick after which the server counts as gone. */
const SILENCE = 6_000;
/** Milliseconds before it is tried again: the first time, and at most. */
const SOONEST = 500;
const LATEST = 5_000;
/** Characters of one event, at most. */
const LONGEST = 1_048_576;

/** What is told of the server. */
export interface Watcher {
  opened(status: StatusJson, history: HistoryJson, audit: readonly AuditEntry[]): void;
  ticked(tick: TickJson): void;
  happened(event: string, data: Readonly<Record<string, unknown>>): void;
  /** It is gone; `again`: the milliseconds until it is tried again. */
  lost(why: string, again: number): void;
  /** It asks for its token. */
  locked(wrong: boolean): void;
}

/** Watches the server for as long as the page is open, however often either of them goes. */
export class Live {
  readonly #api: Api;
  readonly #watcher: Watcher;
  #wake: () => void = () => {};

  constructor(api: Api, watcher: Watcher) {
    this.#api = api;
    this.#watcher = watcher;
  }

  /** Ends a pause: there is a token now, or somebody is impatient. */
  hurry(): void {
    this.#wake();
  }

  async run(): Promise<never> {
    for (let failures = 0; ;) {
      let why = 'the server ended the connection';
      try {
        await this.#session(() => {
          failures = 0;
        });
      } catch (error) {
        if (error instanceof Unanswered && error.status === 401) {
          this.#watcher.locked(this.#api.hasToken);
          await this.#pause(null);
          continue;
        }
        why = reasonOf(error);
      }
      const again = Math.min(LATEST, SOONEST * 2 ** failures) * (0.8 + 0.4 * Math.random());
      failures += 1;
      this.#watcher.lost(why, again);
      await this.#pause(again);
    }
  }

  #pause(time: number | null): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (time !== null) setTimeout(resolve, time);
    });
  }

  async #session(live: () => void): Promise<void> {
    const over = new AbortController();
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => over.abort(), SILENCE);
    };
    try {
      const { signal } = over;
      const status = await this.#api.get<StatusJson>('/api/status', signal);
      const history = await this.#api.get<HistoryJson>('/api/history', signal);
      const { entries } = await this.#api.get<{ entries: readonly AuditEntry[] }>('/api/audit', signal);
      // From here on it has no end of its own.
      heard();
      const stream = await this.#api.stream('/api/events', signal);
      this.#watcher.opened(status, history, entries);
      live();
      for await (const [event, data] of eventsOf(stream)) {
        heard();
        if (event === 'tick') this.#watcher.ticked(data as unknown as TickJson);
        else this.#watcher.happened(event, data);
      }
    } catch (error) {
      if (over.signal.aborted) throw new Unanswered(0, 'the server says nothing any more');
      throw error instanceof TypeError ? new Unanswered(0, 'the connection broke') : error;
    } finally {
      clearTimeout(silence);
      over.abort();
    }
  }
}

type Told = readonly [event: string, data: Readonly<Record<string, unknown>>];

/** The events of a stream. `EventSource` would do, if it could show a token. */
async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Told, void, void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = /^event: (.*)$/mu.exec(text.slice(0, end))?.[1];
      const data = /^data: (.*)$/mu.exec(text.slice(0, end))?.[1];
      text = text.slice(end + 2);
      if (event !== undefined && data !== undefined) yield [event, JSON.parse(data) as Told[1]];
    }
    if (text.length > LONGEST) throw new Unanswered(0, 'the server told too much at once');
  }
}

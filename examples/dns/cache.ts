import { _ } from 'portside/dataspace';
import type { Boot, EndpointHandle, Self } from 'portside/dataspace';
import { later } from './later.ts';
import type { Later } from './later.ts';
import { MOST_KEPT, MOST_KEPT_BYTES } from './limits.ts';
import { lifetimeOf, readMessage } from './message.ts';
import { dnsAnswered } from './topics.ts';
import type { DnsQuestion } from './topics.ts';
import { textOf } from './waiting.ts';

/** Milliseconds between two looks for what is over, at least. */
const PAUSE = 100;

interface Kept {
  readonly endpoint: EndpointHandle;
  readonly bytes: number;
  readonly until: number;
}

/**
 * Keeps answers: whatever anybody else publishes, it publishes too, and goes on until the answer's time is over. Nobody
 * has to ask it for anything, and whoever asks needs not know that it is there.
 */
export function cache(): Boot {
  return (self) => {
    const shelf = new Shelf(self);
    self.observePublishers(dnsAnswered(_, _, _), {
      onPresence: ({ actor, topic: { question, message, at } }) => {
        if (actor !== self.id) shelf.put(question, message, at);
      },
    });
  };
}

class Shelf {
  readonly #self: Self;
  /** By the text of the question; what was asked for last is the last one. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;
  #timer: Later | undefined;
  #next = Number.POSITIVE_INFINITY;

  constructor(self: Self) {
    this.#self = self;
  }

  put(question: DnsQuestion, message: Uint8Array, at: number): void {
    const read = readMessage(message);
    const lifetime = read === null ? 0 : lifetimeOf(read);
    if (lifetime === 0) return;
    const text = textOf(question);
    this.#drop(text);
    const until = at + lifetime * 1_000;
    const endpoint = this.#self.publish(dnsAnswered(question, message, at), { onPresence: () => this.#touch(text) });
    this.#kept.set(text, { endpoint, bytes: message.length, until });
    this.#bytes += message.length;
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT && this.#bytes <= MOST_KEPT_BYTES) break;
      this.#drop(oldest);
    }
    if (until < this.#next) this.#sweepAt(until);
  }

  #touch(text: string): void {
    const kept = this.#kept.get(text);
    if (kept === undefined) return;
    this.#kept.delete(text);
    this.#kept.set(text, kept);
  }

  #drop(text: string): void {
    const kept = this.#kept.get(text);
    if (kept === undefined) return;
    kept.endpoint.withdraw();
    this.#kept.delete(text);
    this.#bytes -= kept.bytes;
  }

  #sweepAt(time: number): void {
    this.#timer?.cancel();
    this.#next = time;
    this.#timer = later(this.#self, Math.max(PAUSE, time - this.#self.clock.now()), () => this.#sweep());
  }

  #sweep(): void {
    const now = this.#self.clock.now();
    this.#next = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const [text, { until }] of this.#kept) {
      if (until <= now) this.#drop(text);
      else next = Math.min(next, until);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#sweepAt(next);
  }
}

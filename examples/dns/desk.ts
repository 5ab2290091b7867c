import { _ } from 'portside/dataspace';
import type { Self } from 'portside/dataspace';
import { examine } from './examine.ts';
import { RCODE, readMessage, writeAnswer, writeCode } from './message.ts';
import type { Message } from './message.ts';
import { dnsAnswered } from './topics.ts';
import type { Waiting } from './waiting.ts';

/** Whom an answer is for. */
export interface Asker {
  /** Bytes that may be sent to him in answer to this. */
  limit(query: Message): number;
  reply(answer: Uint8Array): void;
}

/**
 * Where the questions of clients are taken, in one actor. A question is asked by being there: as long as its client waits,
 * an endpoint is subscribed to its answer, and somebody will see to it that there is one. Who finds it answered already
 * is told at once, as is told of any presence to whoever comes late.
 */
export class Desk {
  readonly #self: Self;
  readonly #waiting: Waiting;
  readonly #open = new Set<() => void>();

  constructor(self: Self, waiting: Waiting) {
    this.#self = self;
    this.#waiting = waiting;
    self.onEnd(() => {
      for (const leave of this.#open) leave();
    });
  }

  /** Questions that have no answer yet. */
  get open(): number {
    return this.#open.size;
  }

  /** Whether there is an answer, now or later, to what was sent. */
  take(bytes: Uint8Array, asker: Asker): boolean {
    const examined = examine(bytes);
    if (examined.kind === 'ignore') return false;
    if (examined.kind === 'refuse') asker.reply(examined.answer);
    else this.#ask(examined.query, asker);
    return true;
  }

  #ask(query: Message, asker: Asker): void {
    const leave = this.#waiting.enter(query.question);
    if (leave === null) {
      asker.reply(writeCode(query.header, query, RCODE.SERVFAIL));
      return;
    }
    this.#open.add(leave);
    const endpoint = this.#self.subscribe(dnsAnswered(query.question, _, _), {
      onPresence: ({ topic: { message, at } }) => {
        endpoint.withdraw();
        this.#open.delete(leave);
        leave();
        const kept = readMessage(message);
        if (kept === null) throw new Error('an answer was published that is none');
        const age = Math.floor((this.#self.clock.now() - at) / 1_000);
        asker.reply(writeAnswer(query, kept, age, asker.limit(query)));
      },
    });
  }
}

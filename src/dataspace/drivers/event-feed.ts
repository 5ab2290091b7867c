import { toMessage } from '../message.ts';
import { plainError } from '../reasons.ts';
import type { PlainError } from '../reasons.ts';
import { _, capture } from '../hole.ts';
import { sendTracked } from '../self.ts';
import type { OutsideSource, Self } from '../self.ts';
import type { Datum } from '../topic-types.ts';
import { look, subscribersOf } from '../watch.ts';
import { openOrigin } from './event-origin.ts';
import type { EventOrigin } from './event-origin.ts';
import type { AnyEventSource } from './event-sources.ts';
import { sourceEvent } from './event-topics.ts';

/** Whether a source may still bring something. */
export type FeedState =
  | { readonly kind: 'open' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly error: PlainError };

/** Calls a function where what is current is what was so when the driver was made. */
export type Within = <R>(fn: () => R) => R;

/** One source, and what is known of it; it outlives the actors that send what it brings. */
export class Feed {
  readonly name: string;
  readonly #given: AnyEventSource;
  readonly #within: Within;
  #origin: EventOrigin | undefined;
  #state: FeedState = { kind: 'open' };
  /** Whether a value was asked for and has not come. */
  #asked = false;
  #calledOff: AbortController | undefined;
  /** What came and was heard by nobody who wanted it. */
  #kept: { readonly value: Datum } | undefined;
  #delivery: Delivery | undefined;
  #closed = false;

  constructor(name: string, given: AnyEventSource, within: Within) {
    this.name = name;
    this.#given = given;
    this.#within = within;
  }

  get state(): FeedState {
    return this.#state;
  }

  /** Begins to send what comes, by an actor that is there for as long as somebody wants it. */
  attach(task: Self): void {
    if (this.#state.kind !== 'open') {
      task.quit();
      return;
    }
    const delivery = new Delivery(this, task);
    this.#delivery = delivery;
    task.onEnd(() => this.#detach(delivery));
  }

  /** Ends the actor when it has dealt with what it has before it. */
  finish(): void {
    this.#delivery?.finish();
  }

  /** Nobody will want it any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#calledOff?.abort();
    this.#shut(true);
  }

  /** The next value that is to be sent, if it is there; else it is asked for. */
  take(): { readonly value: Datum } | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined) this.#ask();
    return kept;
  }

  /** Takes a value back that was heard by nobody. */
  keep(value: Datum): void {
    this.#kept = { value };
  }

  #detach(delivery: Delivery): void {
    if (this.#delivery !== delivery) return;
    this.#delivery = undefined;
    this.#calledOff?.abort();
    const origin = this.#origin;
    if (origin?.fleeting !== true) return;
    this.#kept = undefined;
    origin.pause()?.then(undefined, (error: unknown) => this.#fail(error, false));
  }

  #ask(): void {
    if (this.#asked || this.#state.kind !== 'open' || this.#closed) return;
    this.#asked = true;
    const controller = new AbortController();
    this.#calledOff = controller;
    this.#begin(controller.signal).then(
      (step) => {
        this.#asked = false;
        if (!this.#closed) this.#onStep(step);
      },
      (error: unknown) => {
        this.#asked = false;
        if (this.#closed) return;
        if (controller.signal.aborted && error === controller.signal.reason) this.#delivery?.step();
        else this.#fail(error, false);
      },
    );
  }

  async #begin(signal: AbortSignal): Promise<IteratorResult<unknown, unknown>> {
    return this.#within(() => {
      this.#origin ??= openOrigin(this.name, this.#given);
      return this.#origin.next(signal);
    });
  }

  #onStep(step: IteratorResult<unknown, unknown>): void {
    let value: Datum;
    try {
      if (step.done === true) {
        this.#end({ kind: 'ended' }, false);
        return;
      }
      value = toMessage(this.#within(() => (this.#origin as EventOrigin).map(step.value)) as Datum);
    } catch (error) {
      this.#fail(error, true);
      return;
    }
    if (this.#delivery === undefined && this.#origin?.fleeting === true) return;
    this.keep(value);
    this.#delivery?.step();
  }

  #fail(error: unknown, early: boolean): void {
    this.#end({ kind: 'failed', error: plainError(error) }, early);
  }

  #end(state: FeedState, early: boolean): void {
    if (this.#state.kind !== 'open') return;
    this.#state = state;
    this.#delivery?.finish();
    this.#shut(early);
  }

  #shut(early: boolean): void {
    const origin = this.#origin;
    this.#origin = undefined;
    if (origin !== undefined) this.#within(() => origin.close(early));
  }
}

/** What one actor does for a feed: it sends one value after another, and asks for the next when all have dealt with it. */
class Delivery {
  readonly #feed: Feed;
  readonly #task: Self;
  readonly #outside: OutsideSource;
  /** Who wants it, as of all turns that were over when this actor's present turn was asked for. */
  #wanted = 0;
  #busy = false;
  /** Whether it is not known yet if the last value was for somebody who wants it. */
  #unsure = false;

  constructor(feed: Feed, task: Self) {
    this.#feed = feed;
    this.#task = task;
    // Held throughout: but for what comes from outside, it is the subscribers who have something to do.
    this.#outside = task.outside();
    // By the name as it was said: who leaves it open hears what comes, and wants nothing.
    look(task, subscribersOf(sourceEvent(capture('source'), _)), ({ bindings }, by) => {
      if (bindings['source'] !== feed.name) return;
      this.#wanted += by;
      this.#next();
    });
  }

  /** There is something to be looked at. */
  step(): void {
    this.#outside.enter(() => this.#next());
  }

  finish(): void {
    this.#outside.enter(() => {
      if (this.#unsure) this.finish();
      else this.#task.quit();
    });
  }

  #next(): void {
    if (this.#busy || this.#wanted === 0) return;
    const next = this.#feed.take();
    if (next !== undefined) this.#send(next.value);
  }

  #send(value: Datum): void {
    this.#busy = true;
    this.#unsure = true;
    sendTracked(this.#task, sourceEvent(this.#feed.name, value), () => this.#taken());
    // Who had left by now is known by then, and who leaves later is not.
    this.#outside.enter(() => {
      this.#unsure = false;
      if (this.#wanted === 0) this.#feed.keep(value);
    });
  }

  // Who leaves over it has done so by the second turn.
  #taken(): void {
    this.#outside.enter(() =>
      this.#outside.enter(() => {
        this.#busy = false;
        this.#next();
      }),
    );
  }
}

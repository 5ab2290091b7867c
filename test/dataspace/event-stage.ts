import type { Handlers } from '../../src/dataspace/endpoint.ts';
import { sourceEvent, sourceFailed } from '../../src/dataspace/drivers/event-topics.ts';
import type { SourceFailed } from '../../src/dataspace/drivers/event-topics.ts';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import type { Boot, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { DataspaceOptions } from '../../src/dataspace/space.ts';
import type { Datum } from '../../src/dataspace/topic-types.ts';

/** A value that is there when somebody says so. */
export const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Some rounds of the event loop, after which what can go on by itself has. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await pause();
}

/** What an absence says, for logs. */
export function whyOf({ reason }: { readonly reason: EndReason }): string {
  const detail = 'detail' in reason ? reason.detail : undefined;
  if (detail === undefined) return reason.kind;
  return sourceFailed.is(detail) ? `${reason.kind} ${detail.code}` : `${reason.kind} ${formatTopic(detail)}`;
}

/** A space with events in it, and what was told there. */
export class EventStage {
  readonly told: string[] = [];
  readonly space: Dataspace;

  constructor(options?: DataspaceOptions) {
    // However busy the machine is, a round of the loop is enough for what can go on.
    this.space = new Dataspace({ sliceTime: Number.POSITIVE_INFINITY, ...options });
  }

  /** Handlers that tell what comes of a source. */
  hear(who: string, onMessage: (value: Datum) => unknown = () => {}): Handlers<ReturnType<typeof sourceEvent>> {
    return {
      onPresence: () => void this.told.push(`${who}: there`),
      onAbsence: (event) => void this.told.push(`${who}: gone, ${whyOf(event)}`),
      onMessage: ({ topic }) => {
        const { value } = topic as { readonly value: Datum };
        this.told.push(`${who}: ${value instanceof Uint8Array ? `<${value.length}>` : JSON.stringify(value)}`);
        return onMessage(value);
      },
    };
  }

  /** Subscribes to a source. */
  subscriber(who: string, source: string, onMessage?: (self: Self, value: Datum) => unknown): Boot {
    return (self) =>
      self.subscribe(
        sourceEvent(source, _),
        this.hear(who, (value) => onMessage?.(self, value)),
      );
  }

  /** Tells of failures. */
  failures(who: string): Boot {
    return (self) =>
      self.subscribe(sourceFailed(_, _, _), {
        onPresence: ({ topic }: { topic: SourceFailed }) =>
          void this.told.push(`${who}: ${topic.source} failed, ${topic.code}`),
        onAbsence: ({ topic }: { topic: SourceFailed }) =>
          void this.told.push(`${who}: ${topic.source} no longer failed`),
      });
  }

  /** Runs with these actors as well. */
  async run(...boots: readonly Boot[]): Promise<string[]> {
    for (const boot of boots) this.space.spawn(boot);
    await this.space.run();
    return this.told;
  }
}

/** Values that are handed in, and what is done with them on the other side. */
export class Tap implements AsyncIterable<Datum> {
  /** How many were asked for. */
  asked = 0;
  returned = 0;
  #waiting: PromiseWithResolvers<IteratorResult<Datum>> | undefined;
  readonly #ready: IteratorResult<Datum>[] = [];

  give(...values: Datum[]): void {
    for (const value of values) this.#put({ done: false, value });
  }

  end(): void {
    this.#put({ done: true, value: undefined });
  }

  fail(error: Error): void {
    this.#waiting?.reject(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<Datum> {
    return {
      next: () => {
        this.asked += 1;
        const step = this.#ready.shift();
        if (step !== undefined) return Promise.resolve(step);
        if (this.#waiting !== undefined) throw new Error('asked twice');
        this.#waiting = Promise.withResolvers();
        return this.#waiting.promise;
      },
      return: () => {
        this.returned += 1;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #put(step: IteratorResult<Datum>): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#ready.push(step);
    else waiting.resolve(step);
  }
}

import { AsyncLocalStorage } from 'node:async_hooks';
import { checkValue, record, required } from '../../base/options.ts';
import { show } from '../../base/show.ts';
import { matchDemand } from '../demand.ts';
import type { EndpointHandle } from '../endpoint.ts';
import { formatReason } from '../format-reason.ts';
import { _, capture } from '../hole.ts';
import type { EndReason, PlainError } from '../reasons.ts';
import type { Boot, Self } from '../self.ts';
import type { Datum } from '../topic-types.ts';
import { subscribersOf } from '../watch.ts';
import { Feed } from './event-feed.ts';
import { sourceRule } from './event-sources.ts';
import type { AnyEventSource, EventSource } from './event-sources.ts';
import { sourceEvent, sourceFailed } from './event-topics.ts';
import type { SourceFailed } from './event-topics.ts';

const sourcesRule = required(record(sourceRule));

/**
 * The actor that brings events from outside into a space, each by the name of its source.
 *
 *     space.spawn(eventDriver({
 *       terminal: () => createInterface({ input: process.stdin }),
 *       hangup: { emitter: process, event: 'SIGHUP' },
 *       chunk: { source: file, map: (bytes: Buffer) => bytes.toString() },
 *     }));
 *     space.spawn((self) => {
 *       self.subscribe(sourceEvent('terminal', _), {
 *         onMessage: ({ topic }) => … topic.value …,
 *         onAbsence: () => …,
 *       });
 *     });
 *
 * - Who subscribes to `sourceEvent(name, …)`, the name being said, wants the source of that name. While there is one, what it
 *   brings is sent to all; observers are not asked, and hear it too.
 * - Async iterables and Evts are asked for one value, and for the next when all subscribers have dealt with it: those whose
 *   handlers are asynchronous, when their promise is settled. While nobody wants it, nothing is asked for; what was asked for
 *   before is kept for who comes next. So none is lost, but for one that was sent to somebody who left before its turn.
 * - Emitters are listened to only while somebody wants them. Their events don't wait to be asked, so that those that can't be
 *   sent yet stand in a queue with a limit; what is in it when the last subscriber leaves is dropped.
 * - The driver publishes `sourceEvent(name, _)` for each source that may still bring something. At its end that is withdrawn;
 *   when it has failed, with a {@link sourceFailed} as the detail, which is also published as long as somebody wants the
 *   source. What happens to a source while nobody wants it is noticed when somebody does.
 * - A value that is not plain data fails its source, and so does a `map` that throws; the others go on.
 * - A name that was not given fails with ERR_PORTSIDE_OPTIONS: a space should have no more than one such driver or relay.
 *
 * `space.run()` waits while a source is wanted and not over. When the driver ends, iterators that were begun are given
 * `return()`, and what functions made is disposed of; what these throw reaches the process as an uncaught exception.
 *
 * @throws ERR_PORTSIDE_OPTIONS
 */
export function eventDriver<const V extends Readonly<Record<string, unknown>>>(sources: {
  readonly [N in keyof V]: EventSource<V[N]>;
}): Boot {
  const given = checkValue<Readonly<Record<string, AnyEventSource>>>('eventDriver', 'sources', sourcesRule, sources);
  // Whoever subscribes first must not decide what is current where a source is begun.
  const within = AsyncLocalStorage.snapshot();
  return (self) => {
    const feeds = new Map(Object.entries(given).map(([name, source]) => [name, new Feed(name, source, within)]));
    const shown = new Map([...feeds.keys()].map((name) => [name, self.publish(sourceEvent(name, _))]));
    self.onEnd(() => {
      for (const feed of feeds.values()) feed.close();
    });
    matchDemand(self, {
      demand: subscribersOf(sourceEvent(capture('source'), _)),
      start: (task, { bindings }) => {
        const feed = feeds.get(bindings.source);
        if (feed === undefined) task.quit();
        else feed.attach(task);
      },
      stop: (_actor, { bindings }) => feeds.get(bindings.source)?.finish(),
      giveUp: (reason, { bindings: { source } }) => {
        const feed = feeds.get(source);
        if (feed === undefined) return tell(self, unknown(source, [...feeds.keys()]));
        return settle(self, feed, shown.get(source), reason);
      },
      restart: false,
      name: 'event source',
    });
  };
}

/** What is to be told of a source whose actor has ended though it was wanted. */
function settle(
  self: Self,
  { name, state }: Feed,
  shown: EndpointHandle | undefined,
  reason: EndReason,
): EndpointHandle | undefined {
  if (state.kind === 'ended') {
    shown?.withdraw();
    return undefined;
  }
  if (state.kind === 'open')
    return tell(self, sourceFailed(name, 'ERR_PORTSIDE_ABORTED', `its actor ended: ${formatReason(reason)}`));
  const failed = failureOf(name, state.error);
  shown?.withdraw(failed);
  return tell(self, failed);
}

function tell(self: Self, failed: SourceFailed): EndpointHandle {
  return self.publish(failed);
}

/** An error of a source as it is published. */
export function failureOf(source: string, { code, name, message }: PlainError): SourceFailed {
  return sourceFailed(source, code ?? name, message);
}

function unknown(source: Datum, names: readonly string[]): SourceFailed {
  const known = names.length > 16 ? `${names.slice(0, 16).join(', ')}, …` : names.join(', ');
  const message = `there is no source ${show(source)}; there ${names.length === 0 ? 'are none' : `is ${known}`}`;
  return sourceFailed(source as string, 'ERR_PORTSIDE_OPTIONS', message);
}

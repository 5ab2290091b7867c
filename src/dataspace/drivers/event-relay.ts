import { matchDemand } from '../demand.ts';
import type { EndpointHandle, EndpointId } from '../endpoint.ts';
import { _, capture } from '../hole.ts';
import type { EndReason } from '../reasons.ts';
import { sendTracked } from '../self.ts';
import type { Boot, Self } from '../self.ts';
import { topicKey } from '../topic-key.ts';
import type { Datum, Topic } from '../topic-types.ts';
import { subscribersOf } from '../watch.ts';
import { failureOf } from './event-driver.ts';
import { sourceEvent, sourceFailed } from './event-topics.ts';

/**
 * The actor by which a nested space has the events of the space around, where there is an `eventDriver` or another relay.
 *
 *     self.spawnSpace((inner) => {
 *       inner.spawn(eventRelay());
 *       inner.spawn((one) => one.subscribe(sourceEvent('terminal', _), { … }));
 *     });
 *
 * While somebody within subscribes to `sourceEvent(name, …)`, the nested space subscribes to it outside, once for all; what
 * comes is sent within, and is taken outside when all within have dealt with it. The publisher outside is shown within, its
 * going with what it said, and so is `sourceFailed`. What is on its way when the last subscriber within leaves is heard by
 * nobody there.
 *
 * The relay does not end by itself, and so neither does the space in which it is. On the ground its actor fails with
 * ERR_PORTSIDE_STATE.
 */
export function eventRelay(): Boot {
  return (self) => {
    // Told now, and not when somebody wants something.
    void self.atMeta;
    matchDemand(self, {
      demand: subscribersOf(sourceEvent(capture('source'), _)),
      start: (task, { bindings }) => relay(task, bindings.source),
      restart: false,
      name: 'event relay',
    });
  };
}

function relay(task: Self, name: string): void {
  let publishers = 0;
  let shown: EndpointHandle | undefined;
  task.atMeta.subscribe(sourceEvent(name, _), {
    onPresence: () => {
      publishers += 1;
      shown ??= task.publish(sourceEvent(name, _));
    },
    onAbsence: ({ reason }) => {
      publishers -= 1;
      if (publishers > 0) return;
      shown?.withdraw(detailOf(name, reason));
      shown = undefined;
    },
    onMessage: ({ topic }) => new Promise<void>((resolve) => sendTracked(task, topic, resolve)),
  });
  const failures = new Map<string, EndpointHandle>();
  task.atMeta.observePublishers(sourceFailed(name, _, _), {
    onPresence: ({ peer, topic }) => void failures.set(keyOf(peer, topic), task.publish(topic)),
    onAbsence: ({ peer, topic }) => {
      const key = keyOf(peer, topic);
      failures.get(key)?.withdraw();
      failures.delete(key);
    },
  });
}

// A peer whose topic is another one now comes with that before it goes with the old one.
function keyOf(peer: EndpointId, topic: Topic): string {
  return `${peer} ${topicKey(topic)}`;
}

function detailOf(name: string, reason: EndReason): Datum | undefined {
  if (reason.kind === 'failed') return failureOf(name, reason.error);
  return 'detail' in reason ? reason.detail : undefined;
}

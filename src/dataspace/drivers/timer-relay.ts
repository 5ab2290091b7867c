import { check, integer, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import { _ } from '../hole.ts';
import { record } from '../record.ts';
import type { RecordMaker } from '../record.ts';
import type { Boot, Self } from '../self.ts';
import type { Datum } from '../topic-types.ts';
import type { TimerDriverOptions } from './timer-driver.ts';
import { TimerLabels } from './timer-labels.ts';
import type { Labelled } from './timer-labels.ts';
import { cancelTimer, setTimer, timerExpired, timerRefused } from './timer-topics.ts';
import type { SetTimer } from './timer-topics.ts';

const relayTable = table('timerRelay', { maxTimers: integer({ min: 0 }) });
const agreed: Agrees<typeof relayTable, TimerDriverOptions> = true;
void agreed;

/** Published in the space around by a relay while it is there, by its number. */
const relaying: RecordMaker<'timer-relay', readonly ['relay'], { relay: number }> = record('timer-relay', [
  'relay',
]).of();

// Spaces can't be shared by threads, nor by two copies of this module.
let relays = 0;

/**
 * The actor that keeps time for a nested space, by the timers of the space around, where there is a `timerDriver` or another
 * relay. Out there its timers have labels of its own, so that those of several spaces don't meet.
 *
 *     self.spawnSpace((inner) => {
 *       inner.spawn(timerRelay());
 *       …
 *     });
 *
 * Within the space all is as with {@link timerDriver}. When the relay ends, by whatever, what it has set is cancelled. It
 * does not end by itself, and so neither does the space in which it is.
 *
 * @throws ERR_PORTSIDE_OPTIONS; on the ground its actor fails with ERR_PORTSIDE_STATE.
 */
export function timerRelay(options?: TimerDriverOptions): Boot {
  const { maxTimers = 100_000 }: TimerDriverOptions = check(relayTable, options);
  return (self) => {
    relays += 1;
    const relay = new Relay(self, relays, maxTimers);
    self.subscribe(setTimer(_, _, _), { onMessage: ({ topic }) => relay.set(topic) });
    self.subscribe(cancelTimer(_), { onMessage: ({ topic }) => relay.cancel(topic.label) });
    relay.open();
  };
}

interface Relayed extends Labelled {
  readonly label: Datum;
  readonly number: number;
}

class Relay {
  readonly #self: Self;
  readonly #id: number;
  readonly #most: number;
  readonly #labels = new TimerLabels<Relayed>();
  /** By their numbers, which are in their labels outside. */
  readonly #pending = new Map<number, Relayed>();
  #count = 0;

  constructor(self: Self, id: number, most: number) {
    this.#self = self;
    this.#id = id;
    this.#most = most;
  }

  open(): void {
    const { atMeta } = this.#self;
    const ours = ['timer-relay', this.#id, _] as const;
    atMeta.subscribe(timerExpired(ours, _), {
      onMessage: ({ topic: { label, at } }) => this.#end(label, (own) => timerExpired(own, at)),
    });
    atMeta.subscribe(timerRefused(ours, _), {
      onMessage: ({ topic: { label, message } }) => this.#end(label, (own) => timerRefused(own, message)),
    });
    atMeta.publish(relaying(this.#id));
    atMeta.spawn(
      executor(this.#id, () => [...this.#pending.keys()].map((number) => this.#outer(number))),
      {
        name: 'timer relay',
      },
    );
  }

  set({ label, ms, kind }: SetTimer): void {
    if (this.#labels.size >= this.#most) {
      this.#self.send(timerRefused(label, `${this.#most} timers are set, and there may not be more`));
      return;
    }
    this.#count += 1;
    const timer: Relayed = { label, key: TimerLabels.keyOf(label), number: this.#count };
    this.#labels.put(timer);
    this.#pending.set(timer.number, timer);
    this.#self.atMeta.send(setTimer(this.#outer(timer.number), ms, kind));
  }

  cancel(label: Datum): void {
    for (const { number } of this.#labels.takeAll(label)) {
      this.#pending.delete(number);
      this.#self.atMeta.send(cancelTimer(this.#outer(number)));
    }
  }

  #outer(number: number): Datum {
    return ['timer-relay', this.#id, number];
  }

  /** One came to its end outside; nobody hears of it who has cancelled it meanwhile. */
  #end(outer: Datum, message: (label: Datum) => Datum): void {
    const number = Array.isArray(outer) ? (outer as readonly Datum[])[2] : undefined;
    const timer = typeof number === 'number' ? this.#pending.get(number) : undefined;
    if (timer === undefined) return;
    this.#pending.delete(timer.number);
    this.#labels.remove(timer);
    this.#self.send(message(timer.label));
  }
}

/** Who stays behind in the space around to cancel what a relay has left there when it is gone. */
function executor(id: number, left: () => readonly Datum[]): Boot {
  return (self) => {
    let seen = false;
    const settle = (): void => {
      for (const label of left()) self.send(cancelTimer(label));
      self.quit();
    };
    self.observePublishers(relaying(id), {
      onPresence: () => {
        seen = true;
      },
      onAbsence: settle,
      // It may have come and gone already: whom one sees is told before what one says to oneself.
      onMessage: () => {
        if (!seen) settle();
      },
    });
    self.send(relaying(id));
  };
}

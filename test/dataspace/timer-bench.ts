import { timerDriver } from '../../src/dataspace/drivers/timer-driver.ts';
import type { TimerDriverOptions } from '../../src/dataspace/drivers/timer-driver.ts';
import { timerExpired, timerRefused } from '../../src/dataspace/drivers/timer-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import type { ActorEnd } from '../../src/dataspace/kernel-settings.ts';
import type { Boot, OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { SpaceSummary } from '../../src/dataspace/space.ts';
import type { Datum } from '../../src/dataspace/topic-types.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

/** What came of a timer, and when. */
export interface Fired {
  readonly label: Datum;
  /** By the clock's `now()`. */
  readonly now: number;
  readonly at: number;
}

/** An actor that does what it is told, and keeps the space waiting until it is let go. */
export interface Hand {
  readonly self: Self;
  readonly source: OutsideSource;
}

/** A space that goes by a time of its own, with a timer driver in it and one actor that does as it is told. */
export class TimerBench {
  readonly clock: VirtualClock;
  readonly space: Dataspace;
  readonly fired: Fired[] = [];
  readonly refused: string[] = [];
  readonly ends: ActorEnd[] = [];
  done!: Promise<SpaceSummary>;
  driver = 0;
  #hand!: Hand;

  constructor(wall = 1_000_000) {
    this.clock = new VirtualClock({ wall });
    const scope = new Scope({ parent: null, clock: this.clock });
    this.space = scope.run(() => new Dataspace({ onActorEnd: (end) => this.ends.push(end) }));
  }

  /** `hears`: whether what comes of timers is written down by the actor. */
  async open(options?: TimerDriverOptions, hears = true): Promise<this> {
    this.driver = this.space.spawn(timerDriver(options));
    this.space.spawn((self) => {
      this.#hand = { self, source: self.outside() };
      if (hears) this.listen(self);
    });
    this.done = this.space.run();
    await this.clock.settle();
    return this;
  }

  /** Writes down what comes of the timers of a space. */
  listen(self: Self): void {
    self.subscribe(timerExpired(_, _), {
      onMessage: ({ topic }) => void this.fired.push({ label: topic.label, now: this.clock.now(), at: topic.at }),
    });
    self.subscribe(timerRefused(_, _), {
      onMessage: ({ topic }) => void this.refused.push(`${formatTopic(topic.label)}: ${topic.message}`),
    });
  }

  /** Does something in one turn of the actor. */
  async by(fn: (self: Self) => void): Promise<void> {
    this.#hand.source.enter(() => fn(this.#hand.self));
    await this.clock.settle();
  }

  async spawn(boot: Boot): Promise<number> {
    const id = this.space.spawn(boot);
    await this.clock.settle();
    return id;
  }

  /** The actor waits for nothing any more. */
  letGo(): void {
    this.#hand.source.release();
  }

  /** Labels, and when they came, since the last look. */
  news(): [Datum, number][] {
    return this.fired.splice(0).map(({ label, now }) => [label, now]);
  }
}

import { check, integer, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import { show } from '../../base/show.ts';
import type { TimerHandle } from '../../sync/clock.ts';
import { _ } from '../hole.ts';
import type { Boot, OutsideSource, Self } from '../self.ts';
import type { Datum } from '../topic-types.ts';
import { TimerHeap } from './timer-heap.ts';
import type { HeapTimer } from './timer-heap.ts';
import { TimerLabels } from './timer-labels.ts';
import type { Labelled } from './timer-labels.ts';
import { cancelTimer, setTimer, timerExpired, timerRefused } from './timer-topics.ts';
import type { SetTimer } from './timer-topics.ts';

/** Settings of {@link timerDriver} and `timerRelay`. */
export interface TimerDriverOptions {
  /**
   * Timers that may be set at a time; who sets one more is sent a `timerRefused`.
   * @default 100000
   */
  readonly maxTimers?: number | undefined;
}

const driverTable = table('timerDriver', { maxTimers: integer({ min: 0 }) });
const agreed: Agrees<typeof driverTable, TimerDriverOptions> = true;
void agreed;

/** Milliseconds after which it is looked whether the wall clock has jumped. */
const LOOK = 10_000;

/**
 * The actor that keeps time for a space: it answers each `setTimer` by one `timerExpired`.
 *
 *     space.spawn(timerDriver());
 *     space.spawn((self) => {
 *       self.subscribe(timerExpired('tea', _), { onMessage: () => … });
 *       self.send(setTimer('tea', 180_000, 'relative'));
 *     });
 *
 * - `relative`: in so many milliseconds, whatever becomes of the wall clock. `absolute`: when the wall clock shows so many
 *   milliseconds since 1970, for which it is followed where it jumps, ahead or back, within ten seconds. Fractions count.
 *   What is negative or past expires at once.
 * - A label is any plain data. The same one may be set several times; each expires.
 * - Those that are due together are sent together, the one that should have come first first; of equal ones the one that
 *   was set first.
 * - `cancelTimer` takes back all of a label that were not sent yet, those too that are overdue. One that was sent may still
 *   be on its way to the one that cancels it.
 * - What is neither, or no finite number, or one too many, is answered by `timerRefused`.
 *
 * `space.run()` waits while timers are set, and no longer. What is set before this actor has had its first turn is heard by
 * nobody: spawn it first. When it ends, its timers are gone.
 *
 * @throws ERR_PORTSIDE_OPTIONS
 */
export function timerDriver(options?: TimerDriverOptions): Boot {
  const { maxTimers = 100_000 }: TimerDriverOptions = check(driverTable, options);
  return (self) => {
    const timers = new Timers(self, maxTimers);
    self.subscribe(setTimer(_, _, _), { onMessage: ({ topic }) => timers.set(topic) });
    self.subscribe(cancelTimer(_), { onMessage: ({ topic }) => timers.cancel(topic.label) });
    self.onEnd(() => timers.stop());
  };
}

interface Timer extends HeapTimer, Labelled {
  readonly label: Datum;
  readonly heap: TimerHeap<Timer>;
}

/** All timers of a space, on one of its clock. */
class Timers {
  readonly #self: Self;
  readonly #most: number;
  /** Due by the clock's `now()`. */
  readonly #relative = new TimerHeap<Timer>();
  /** Due by its `wall()`. */
  readonly #absolute = new TimerHeap<Timer>();
  readonly #labels = new TimerLabels<Timer>();
  #count = 0;
  /** Held while there are timers. */
  #source: OutsideSource | undefined;
  #alarm: TimerHandle | undefined;
  #alarmAt = 0;
  /** Whether a turn in which those that are due are sent is on its way. */
  #sending = false;

  constructor(self: Self, most: number) {
    this.#self = self;
    this.#most = most;
  }

  set({ label, ms, kind }: SetTimer): void {
    const why = this.#whyNot(ms, kind);
    if (why !== undefined) {
      this.#self.send(timerRefused(label, why));
      return;
    }
    const relative = kind === 'relative';
    const heap = relative ? this.#relative : this.#absolute;
    const due = relative ? this.#self.clock.now() + ms : ms;
    const timer: Timer = { label, key: TimerLabels.keyOf(label), heap, due, order: this.#count, slot: -1 };
    this.#count += 1;
    heap.put(timer);
    this.#labels.put(timer);
    this.#follow();
  }

  cancel(label: Datum): void {
    for (const timer of this.#labels.takeAll(label)) timer.heap.remove(timer);
    this.#follow();
  }

  /** The actor has ended. */
  stop(): void {
    this.#alarm?.cancel();
  }

  #whyNot(ms: unknown, kind: unknown): string | undefined {
    if (typeof ms !== 'number' || !Number.isFinite(ms))
      return `the time must be a finite number of milliseconds, got ${show(ms)}`;
    if (kind !== 'relative' && kind !== 'absolute')
      return `the kind must be "relative" or "absolute", got ${show(kind)}`;
    if (this.#labels.size >= this.#most) return `${this.#most} timers are set, and there may not be more`;
    return undefined;
  }

  /** Sees to it that the next turn comes when it is due, and is waited for. */
  #follow(): void {
    if (this.#labels.size === 0) {
      this.#disarm();
      this.#source?.release();
      this.#source = undefined;
      return;
    }
    this.#source ??= this.#self.outside();
    const delay = this.#delay();
    if (delay <= 0) this.#sendSoon(this.#source);
    else this.#arm(delay);
  }

  #delay(): number {
    const { clock } = this.#self;
    const relative = this.#relative.first;
    const absolute = this.#absolute.first;
    return Math.min(
      relative === undefined ? Number.POSITIVE_INFINITY : relative.due - clock.now(),
      absolute === undefined ? Number.POSITIVE_INFINITY : Math.min(absolute.due - clock.wall(), LOOK),
    );
  }

  // One that comes too early only looks; one that would come too late is replaced.
  #arm(delay: number): void {
    const { clock } = this.#self;
    const at = clock.now() + delay;
    if (this.#alarm !== undefined && this.#alarmAt <= at) return;
    this.#disarm();
    this.#alarmAt = at;
    this.#alarm = clock.after(delay, () => {
      this.#alarm = undefined;
      if (this.#source !== undefined) this.#sendSoon(this.#source);
    });
  }

  #disarm(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  // In a turn of its own: what was cancelled before that is not sent, and what is due by then goes along.
  #sendSoon(source: OutsideSource): void {
    if (this.#sending) return;
    this.#sending = true;
    source.enter(() => {
      this.#sending = false;
      this.#sendDue();
      this.#follow();
    });
  }

  #sendDue(): void {
    const { clock } = this.#self;
    const now = clock.now();
    const wall = clock.wall();
    for (;;) {
      const timer = earlier(this.#relative.first, now, this.#absolute.first, wall);
      if (timer === undefined) return;
      timer.heap.remove(timer);
      this.#labels.remove(timer);
      this.#self.send(timerExpired(timer.label, wall));
    }
  }
}

/** Of two timers, by different clocks, the one that is longer overdue; undefined when neither is due. */
function earlier(a: Timer | undefined, nowA: number, b: Timer | undefined, nowB: number): Timer | undefined {
  const dueA = a !== undefined && a.due <= nowA ? a : undefined;
  const dueB = b !== undefined && b.due <= nowB ? b : undefined;
  if (dueA === undefined || dueB === undefined) return dueA ?? dueB;
  const lateA = nowA - dueA.due;
  const lateB = nowB - dueB.due;
  if (lateA === lateB) return dueA.order < dueB.order ? dueA : dueB;
  return lateA > lateB ? dueA : dueB;
}

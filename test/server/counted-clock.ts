import type { Clock, TimerHandle } from '../../src/sync/clock.ts';
import type { VirtualClock } from '../../src/sync/virtual-clock.ts';

/** The time of the server and its clients: that of the network, with the timers of these alone counted. */
export class CountedClock implements Clock {
  armed = 0;
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wall(): number {
    return this.#clock.wall();
  }

  soon(fn: () => void): void {
    this.#clock.soon(fn);
  }

  after(ms: number, fn: () => void): TimerHandle {
    let armed = true;
    const disarm = (): void => {
      if (armed) this.armed -= 1;
      armed = false;
    };
    this.armed += 1;
    const timer = this.#clock.after(ms, () => {
      disarm();
      fn();
    });
    return {
      cancel() {
        disarm();
        timer.cancel();
      },
      ref: (on) => timer.ref(on),
    };
  }
}

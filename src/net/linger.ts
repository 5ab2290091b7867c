import { Deadline } from '../sync/deadline.ts';
import type { Link } from './link.ts';

/** How often a peer that still takes some of the output is given the linger time anew. */
const ROUNDS = 12;

/** Changes when the kernel takes some of the output, and not when there is more of it. */
export function takenOf({ sent, channel }: Link): number {
  return sent - channel.queued + (channel.progress ?? 0);
}

/** Waits for the end of a connection that is closing: for `linger` milliseconds in which the peer takes none of what is queued, or 12 times that in all. Then the rest is dropped. */
export function lingerOn(link: Link, linger: number): void {
  const { life } = link;
  let before = takenOf(link);
  let rounds = 1;
  life.linger ??= new Deadline(link.clock, () => {
    const taken = takenOf(link);
    if (taken === before || rounds >= ROUNDS) {
      link.channel.destroy('drop');
      return;
    }
    before = taken;
    rounds += 1;
    life.linger?.arm(linger);
  });
  life.linger.arm(linger);
}

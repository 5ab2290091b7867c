import { _, cancelTimer, setTimer, timerExpired, timerRefused } from 'portside/dataspace';
import type { Self } from 'portside/dataspace';

/** A timer in the hands of its actor. */
export interface Later {
  /** Takes it back. Does nothing when it has fired. */
  cancel(): void;
}

let labels = 0;

/** Calls `fn` in so many milliseconds, in a turn of the actor; at once when the timer driver can't take one more. */
export function later(self: Self, ms: number, fn: () => void): Later {
  labels += 1;
  const label = ['dns', labels];
  const forget = (): void => {
    expired.withdraw();
    refused.withdraw();
  };
  const fire = (): void => {
    forget();
    fn();
  };
  const expired = self.subscribe(timerExpired(label, _), { onMessage: fire });
  const refused = self.subscribe(timerRefused(label, _), { onMessage: fire });
  self.send(setTimer(label, ms, 'relative'));
  let set = true;
  return {
    cancel: () => {
      if (!set) return;
      set = false;
      forget();
      self.send(cancelTimer(label));
    },
  };
}

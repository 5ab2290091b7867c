import { PortsideError } from '../base/errors.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import type { Channel, Dial, DialTarget, Transport } from '../transport/contract.ts';

/** Families in turn, beginning with the one that the resolver put first (RFC 8305, section 4). */
export function interleave<A extends { readonly family: string }>(addresses: readonly A[]): A[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const rest = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const mixed: A[] = [];
  for (let i = 0; i < Math.max(first.length, rest.length); i += 1) {
    if (i < first.length) mixed.push(first[i]!);
    if (i < rest.length) mixed.push(rest[i]!);
  }
  return mixed;
}

/**
 * The first target that answers; the others are called off. The next one begins when the one before has failed, or `delay` milliseconds after it began
 * (RFC 8305, section 5); with Infinity they go one after another. Rejects with `signal.reason`, or when all have failed with the error of the one that failed
 * first, whose `cause` has them all. `targets` must not be empty, nor `signal` be aborted already.
 */
export function race(
  targets: readonly DialTarget[],
  delay: number,
  transport: Transport,
  clock: Clock,
  signal: AbortSignal,
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const dials = new Set<Dial>();
    const errors: unknown[] = [];
    let next = 0;
    let timer: TimerHandle | null = null;
    let settled = false;

    const settle = (): void => {
      settled = true;
      timer?.cancel();
      signal.removeEventListener('abort', abort);
      for (const dial of dials) dial.cancel();
    };
    const abort = (): void => {
      settle();
      reject(signal.reason as Error);
    };
    const begin = (): void => {
      timer?.cancel();
      timer = null;
      const dial = transport.dial(targets[next]!);
      next += 1;
      dials.add(dial);
      if (next < targets.length && delay !== Infinity) timer = clock.after(delay, begin);
      dial.result.then(
        (channel) => {
          dials.delete(dial);
          // Two may answer in one turn of the loop: the later one is nobody's.
          if (settled) channel.destroy('drop');
          else {
            settle();
            resolve(channel);
          }
        },
        (error: unknown) => {
          dials.delete(dial);
          errors.push(error);
          if (settled) return;
          if (next < targets.length) begin();
          else if (dials.size === 0) {
            settle();
            reject(together(errors));
          }
        },
      );
    };
    signal.addEventListener('abort', abort, { once: true });
    begin();
  });
}

function together(errors: readonly unknown[]): Error {
  const first = errors[0] as PortsideError;
  if (errors.length === 1) return first;
  return new PortsideError(first.code, `${first.message} (and ${errors.length - 1} more of its addresses)`, {
    op: 'connect',
    local: first.local,
    remote: first.remote,
    cause: new AggregateError(errors),
  });
}

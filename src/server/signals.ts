import { constants } from 'node:os';
import { anything, fn, list, record, table, that } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import type { Given } from './options.ts';

/** Options of `Server.run`. */
export interface ServerRunOptions {
  /** The signals that end it: the first drains, one more ends it at once. @default ['SIGINT', 'SIGTERM'] */
  signals?: readonly NodeJS.Signals[] | undefined;
  /** Told of each signal before it takes effect. */
  onSignal?: ((signal: NodeJS.Signals, again: boolean) => void) | undefined;
  /** Handed on to `onStart`. */
  given?: Given | undefined;
}

const signal = that<NodeJS.Signals>(
  'the name of a signal that can be caught',
  (value) =>
    typeof value === 'string' && Object.hasOwn(constants.signals, value) && value !== 'SIGKILL' && value !== 'SIGSTOP',
);

/** The rules of {@link ServerRunOptions}. */
export const runTable: Table<ServerRunOptions> = table('run', {
  signals: list(signal),
  onSignal: fn<NonNullable<ServerRunOptions['onSignal']>>(),
  given: record(anything()),
});

/** One Ctrl-C may come twice, from the terminal and from npm, which passes it on. The same signal again within these milliseconds is the same. */
const SAME = 500;

/** Calls `first` for the first of the signals, and `again` for those after it, until what it gives back is called. */
export function onSignals(
  signals: readonly NodeJS.Signals[],
  first: (signal: NodeJS.Signals) => void,
  again: (signal: NodeJS.Signals) => void,
): () => void {
  let before: { readonly signal: NodeJS.Signals; readonly at: number } | null = null;
  const listener = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (before === null) {
      before = { signal, at: now };
      first(signal);
    } else if (signal !== before.signal || now - before.at >= SAME) again(signal);
  };
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

/** Who is ended by signals. */
export interface Ended {
  drain(): unknown;
  stop(options: { grace: number }): unknown;
}

/** Waits for a server's end, which the first signal begins and the second hastens. */
export async function untilOver<T>(over: () => Promise<T>, server: Ended, options: ServerRunOptions): Promise<T> {
  const { signals = ['SIGINT', 'SIGTERM'], onSignal } = options;
  const off = onSignals(
    signals,
    (signal) => {
      onSignal?.(signal, false);
      server.drain();
    },
    (signal) => {
      onSignal?.(signal, true);
      server.stop({ grace: 0 });
    },
  );
  try {
    return await over();
  } finally {
    off();
  }
}

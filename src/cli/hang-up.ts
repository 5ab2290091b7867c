import { closeSync, openSync } from 'node:fs';
import type { ServerState } from '../server/events.ts';

/** What hears of SIGHUP. */
export interface HangUpHost {
  readonly state: ServerState;
  stop(): unknown;
}

/**
 * Sees to SIGHUP, until what it gives back is called: `renew` does what is to be done, and resolves with what came of it. One is done after the other. When the terminal that the command was begun
 * at has gone with it, the server is stopped instead, as nobody else would.
 */
export function onHangUp(host: HangUpHost, warn: (text: string) => void, renew: () => Promise<string>): () => void {
  const began = hasTerminal();
  let turn: Promise<void> = Promise.resolve();
  const listener = (): void => {
    if (began && !hasTerminal()) {
      warn('SIGHUP, and the terminal is gone; stopping');
      void host.stop();
      return;
    }
    turn = turn.then(async () => warn(`SIGHUP, ${inTheWay(host.state) ?? (await renew())}`));
  };
  process.on('SIGHUP', listener);
  return () => process.off('SIGHUP', listener);
}

/** Why nothing is done; null when something is. */
function inTheWay(state: ServerState): string | null {
  if (state === 'idle' || state === 'starting') return 'while it is starting; nothing is done';
  if (state === 'draining' || state === 'stopped') return 'while it is stopping; nothing is done';
  return null;
}

/** Whether there is a terminal that this process can be stopped from. */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    // ENXIO: there is none, or it has hung up.
    return false;
  }
}

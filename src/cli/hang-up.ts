import { closeSync, openSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import type { Server } from '../server/server.ts';
import { firstLine } from './load-module.ts';

/**
 * Sees to SIGHUP, until what it gives back is called: certificates are read anew. When the terminal that the command was begun at has gone with it, the server is
 * stopped instead, as nobody else would.
 */
export function onHangUp(server: Server, warn: (text: string) => void, reload: () => Promise<void>): () => void {
  const began = hasTerminal();
  let turn: Promise<void> = Promise.resolve();
  const listener = (): void => {
    if (began && !hasTerminal()) {
      warn('SIGHUP, and the terminal is gone; stopping');
      void server.stop();
      return;
    }
    turn = turn.then(() => readAnew(server, warn, reload));
  };
  process.on('SIGHUP', listener);
  return () => process.off('SIGHUP', listener);
}

async function readAnew(server: Server, warn: (text: string) => void, reload: () => Promise<void>): Promise<void> {
  if (server.state === 'idle' || server.state === 'starting')
    return warn('SIGHUP, while it is starting; nothing is done');
  if (server.state === 'draining' || server.state === 'stopped')
    return warn('SIGHUP, while it is stopping; nothing is done');
  try {
    await reload();
    warn('SIGHUP, certificates were read anew');
  } catch (error) {
    const none = systemCode(error) === 'ERR_PORTSIDE_STATE';
    warn(`SIGHUP, and ${none ? 'nothing to read anew' : 'what was in use stays'}: ${firstLine(error)}`);
  }
}

/** Whether there is a terminal that this process can be stopped from. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    // ENXIO: there is none, or it has hung up.
    return false;
  }
}

import { retireHanded } from '../../net/handed.ts';
import { ParallelServer } from '../../parallel/parallel-server.ts';
import type { ServerState } from '../../server/events.ts';
import type { Server } from '../../server/server.ts';
import { formatAddress } from '../../transport/address.ts';
import { counted } from '../notices.ts';
import type { Notices } from '../notices.ts';
import type { Manager } from './manager.ts';
import { settled } from './settled.ts';

/** A server of whichever kind. */
export type Managed = Server | ParallelServer;

/** Tells who runs this process how its server does, and has the server leave when it is told to. `what`: as it reads before the address; `closeAdmin` ends what another process has from then on. */
export function manage(
  server: Managed,
  manager: Manager,
  what: string,
  notices: Notices,
  closeAdmin: () => unknown,
): void {
  const heard = (state: ServerState, before: ServerState): void => {
    if (state === 'running' && before === 'starting') manager.ready(toldOf(server, what));
    if (state === 'draining') manager.stopping(server instanceof ParallelServer && server.failure !== null);
  };
  if (server instanceof ParallelServer) server.on('state', heard);
  else server.on('state', heard);
  manager.onOrphaned = () => {
    notices.warn('the supervisor has died; stopping');
    void server.drain();
  };
  manager.onLeave = () => {
    // Who waits here for a place, or for the end of a suspension, would wait in vain.
    if (server.state === 'suspended') server.resume();
    const waiting = retireHanded();
    if (waiting > 0) server.set({ maxConnections: server.limits.maxConnections + waiting });
  };
  manager.onDrain = (pid) => {
    void closeAdmin();
    const { active } = server.status();
    notices.warn(
      `process ${pid} serves from now on; ${active === 0 ? 'stopping' : `waiting for ${counted(active, 'connection')}`}`,
    );
    void settled(server).then(() => void server.drain({ lead: 0 }));
  };
}

/** Has something done that the service manager calls a reload. */
export async function reloading<T>(
  server: Managed,
  manager: Manager,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  manager.reloading();
  try {
    return await work();
  } finally {
    if (server.state === 'running' || server.state === 'suspended') manager.ready(toldOf(server, what));
  }
}

/** `serving chat.ts on 127.0.0.1:7000, [::1]:7000` */
function toldOf({ addresses }: Managed, what: string): string {
  return `${what} on ${addresses.map((address) => formatAddress(address)).join(', ')}`;
}

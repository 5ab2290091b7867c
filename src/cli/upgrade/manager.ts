import { handSockets } from '../../net/handed.ts';
import type { Gathered } from '../gather-options.ts';
import { Notifier } from '../systemd/notifier.ts';
import type { SupervisedManager } from './supervised.ts';
import type { UpgradeResult } from './protocol.ts';
import { wantedSockets } from './wanted-sockets.ts';

/** Who runs this process: a supervisor, systemd, or nobody in particular. */
export interface Manager {
  /** It serves. `told`: what and where. */
  ready(told: string): void;
  /** It takes up new code or certificates, until it is `ready` again. */
  reloading(): void;
  /** Its end has begun. `broken`: it can't go on, and was not told to end. */
  stopping(broken: boolean): void;
  /** Starts a new version, which takes over; null where nobody can. */
  readonly upgrade: (() => Promise<UpgradeResult>) | null;
  /** Told to leave the sockets to another process, then to come to the end, as that one serves; and that the supervisor has died. */
  onLeave: (() => void) | null;
  onDrain: ((pid: number) => void) | null;
  onOrphaned: (() => void) | null;
  close(): Promise<void>;
}

const nobody: Manager = {
  ready() {},
  reloading() {},
  stopping() {},
  upgrade: null,
  onLeave: null,
  onDrain: null,
  onOrphaned: null,
  close: () => Promise.resolve(),
};

/**
 * Finds out by the environment who runs this process. Below a supervisor, the sockets that it keeps are taken up; when some are missing the process ends here, and is started
 * again with them.
 */
export async function managerOf(
  gathered: Gathered,
  supervised: SupervisedManager | null,
  warn: (text: string) => void,
): Promise<Manager> {
  if (supervised !== null) {
    handSockets(supervised.sockets);
    await supervised.want(wantedSockets(gathered), !gathered.log.words);
    return supervised;
  }
  const notifier = Notifier.take(process.env, (why) =>
    warn(`NOTIFY_SOCKET is set, and the service manager can't be told: ${why}`),
  );
  return notifier === null ? { ...nobody } : notified(notifier);
}

/** Below a service manager. */
function notified(notifier: Notifier): Manager {
  let status = '';
  // Whatever keeps the event loop from turning keeps this from being sent.
  const beat = notifier.beat === null ? undefined : setInterval(() => notifier.alive(), notifier.beat);
  beat?.unref();
  return {
    ...nobody,
    ready(told) {
      status = told;
      notifier.ready(told);
    },
    reloading: () => notifier.reloading(status),
    stopping: () => notifier.stopping('stopping'),
    async close() {
      clearInterval(beat);
      await notifier.flushed();
    },
  };
}

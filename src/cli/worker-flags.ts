import { countOrCores, duration, oneOfWords } from './flag-values.ts';
import type { FlagGroup } from './flag.ts';

/** How many threads serve, and how. */
export const workerFlags: FlagGroup = {
  heading: 'Over several threads:',
  flags: [
    {
      flags: '--workers <n>',
      what: 'serve in so many worker threads; cores: as many as this machine gives (default: none, the main thread serves)',
      option: 'workers',
      read: countOrCores,
    },
    {
      flags: '--dispatch <how>',
      what: 'whom a connection goes to: round-robin, least-busy, hash (always the same for a client) or kernel (default: least-busy)',
      option: 'dispatch',
      read: oneOfWords('round-robin', 'least-busy', 'hash', 'kernel'),
    },
    {
      flags: '--on-worker-death <what>',
      what: 'restart it, shrink (the others go on) or stop (default: restart)',
      option: 'onWorkerDeath',
      read: oneOfWords('restart', 'shrink', 'stop'),
    },
    {
      flags: '--boot-timeout <time>',
      what: 'in which all workers have to be ready (default: 1m)',
      option: 'bootTimeout',
      read: duration({ none: true }),
    },
    {
      flags: '--watchdog <time>',
      what: 'that a worker may compute without a pause, after which it is ended (default: 30s)',
      option: 'watchdog',
      read: duration({ none: true }),
    },
    {
      flags: '--watch',
      what: 'for development: reload when the module changes or what it imports; in one worker unless --workers says more',
      option: null,
    },
  ],
};

/** How long and how often: what a suite takes, by how much time there is for all of them. */
import type { Options } from './options.ts';
import type { Suite } from './suites.ts';

export interface Pace {
  readonly rounds: number;
  /** Measured time of one contender in one round. */
  readonly seconds: number;
  /** The time before it. */
  readonly warmup: number;
  /** How many are open, or open at a time. */
  readonly connections: number;
}

type Times = Omit<Pace, 'connections'>;

/**
 * Code that few connections have gone through is not compiled yet, and looks up to 1.5 × dearer than it is: accepts need longer than echoes, and where several
 * isolates compile the same, longer still. Times beyond these change the ratios by less than the rounds differ.
 */
const WARM: Readonly<Partial<Record<Suite['role'], number>>> = { accept: 2, dispatch: 3 };
const QUICK: Readonly<Partial<Record<Suite['role'], number>>> = { accept: 1.5, dispatch: 1.6 };

function timesOf({ role }: Suite, { quick, smoke }: Options): Times {
  if (smoke) return { rounds: 1, seconds: 0.05, warmup: 0.05 };
  // Memory is the same in every round.
  if (quick && role === 'idle') return { rounds: 3, seconds: 0, warmup: 0 };
  if (quick) return { rounds: 5, seconds: 0.35, warmup: QUICK[role] ?? 0.35 };
  return { rounds: 5, seconds: 3, warmup: WARM[role] ?? 1 };
}

/** In a smoke nothing is measured, so it need not be much. */
const SMOKE_CONNECTIONS = 64;

/** What is said on the command line goes before what is usual. */
export function paceOf(suite: Suite, options: Options): Pace {
  const usual = timesOf(suite, options);
  const { rounds = usual.rounds, seconds = usual.seconds, warmup = usual.warmup } = options;
  const connections = options.smoke ? Math.min(suite.connections, SMOKE_CONNECTIONS) : suite.connections;
  return { rounds, seconds, warmup, connections };
}

/** Whether a smoke has to run a suite: those that are left out start no server and send no load that others don't. */
export function inSmoke({ name }: Suite): boolean {
  return !['echo-64-deep', 'echo-1k', 'redis-get', 'redis-get-deep', 'redis-set-deep'].includes(name);
}

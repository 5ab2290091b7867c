import { fn, object, oneOf, union } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import { clientKey, clientPrefixesRule, defaultClientPrefixes } from '../server/client-key.ts';
import type { ClientPrefixes } from '../server/client-key.ts';
import type { Address } from '../transport/address.ts';
import { defined } from './defined.ts';

/** What is known of a worker where a connection is dispatched. */
export interface WorkerLoad {
  /** Its place, from 0. */
  readonly index: number;
  /** Connections that it has, and those that are on their way to it. */
  readonly connections: number;
  /** How busy its event loop was lately, from 0 to 1. */
  readonly utilization: number;
  /** Whether one more may be on its way to it. */
  readonly room: boolean;
}

/** Whom a connection is dispatched for. */
export interface DispatchPeer {
  /** The peer's address, by its socket. */
  readonly remote: Address;
  /** The address that it came to. */
  readonly local: Address;
}

/** Chooses a worker by its index: one of `workers`, who are all that live, in the order of their indexes. One without room is waited for. */
export type DispatchFunction = (peer: DispatchPeer, workers: readonly WorkerLoad[]) => number;

/**
 * Which worker a connection goes to.
 *
 * - `round-robin`: to each in turn, in the order of the accepts; those that are gone or have no room are passed over.
 * - `least-busy`: to the one with the fewest connections; of several, to the one whose event loop was the least busy, to 5 %; of several, to the one with the lowest index.
 * - `hash`: always to the same for one client: an address, or the prefix that `hash` says (by rendezvous: when a worker goes, only its clients move, and they come back when it does). Behind a proxy it goes by the
 *   PROXY header, with the native core: the worker that reads it hands the connection on, before it is served.
 * - `kernel`: nobody dispatches; every worker listens on the port by itself (SO_REUSEPORT), and the kernel spreads the clients.
 * - a function.
 */
export type Dispatch =
  | 'round-robin'
  | 'least-busy'
  | 'hash'
  | { readonly hash: { readonly ipv4?: number | undefined; readonly ipv6?: number | undefined } }
  | 'kernel'
  | DispatchFunction;

/** The rule of {@link Dispatch}. */
export const dispatchRule: Rule<Dispatch> = union(
  oneOf('round-robin', 'least-busy', 'hash', 'kernel'),
  object({ hash: clientPrefixesRule }) as Rule<{ readonly hash: { readonly ipv4?: number; readonly ipv6?: number } }>,
  fn<DispatchFunction>(),
);

/** Chooses among the workers that live, which are in the order of their indexes; null: nobody has room, and the client has to wait. */
export interface Dispatcher<Load extends WorkerLoad> {
  choose(peer: DispatchPeer, workers: readonly Load[]): Load | null;
}

/** Makes what dispatches. `failed` is told when a function of the user's throws or chooses nobody; the least busy one gets the connection then. */
export function dispatcher<Load extends WorkerLoad>(
  dispatch: Exclude<Dispatch, 'kernel'>,
  failed: (error: unknown) => void,
): Dispatcher<Load> {
  if (typeof dispatch === 'function') return new ByFunction(dispatch, failed);
  const prefixes = hashPrefixes(dispatch);
  if (prefixes !== null) return new ByHash(prefixes);
  switch (dispatch) {
    case 'round-robin':
      return new RoundRobin();
    default:
      return { choose: (_peer, workers) => leastBusy(workers) };
  }
}

class RoundRobin<Load extends WorkerLoad> implements Dispatcher<Load> {
  /** The index whose turn it is. */
  #next = 0;

  choose(_peer: DispatchPeer, workers: readonly Load[]): Load | null {
    let first: Load | null = null;
    for (const worker of workers) {
      if (!worker.room) continue;
      if (worker.index >= this.#next) return this.#take(worker);
      first ??= worker;
    }
    return first === null ? null : this.#take(first);
  }

  #take(worker: Load): Load {
    this.#next = worker.index + 1;
    return worker;
  }
}

/** Of event loops that are busy to nearly the same part, none is the busier one. */
const STEPS = 20;

/** The one with the fewest connections, as `least-busy` has it; null when nobody has room. */
export function leastBusy<Load extends WorkerLoad>(workers: readonly Load[]): Load | null {
  let best: Load | null = null;
  for (const worker of workers) {
    if (!worker.room) continue;
    if (best === null || worker.connections < best.connections) best = worker;
    else if (worker.connections === best.connections && step(worker) < step(best)) best = worker;
  }
  return best;
}

function step({ utilization }: WorkerLoad): number {
  return Math.floor(utilization * STEPS);
}

class ByHash<Load extends WorkerLoad> implements Dispatcher<Load> {
  readonly #prefixes: ClientPrefixes;

  constructor(prefixes: ClientPrefixes) {
    this.#prefixes = prefixes;
  }

  choose({ remote }: DispatchPeer, workers: readonly Load[]): Load | null {
    const best = homeOf(remote, this.#prefixes, workers);
    // Another one would do, but would not be the same the next time.
    return best !== null && best.room ? best : null;
  }
}

/** The one of those that live where a client belongs by its hash; null when nobody lives. */
export function homeOf<W extends { readonly index: number }>(
  remote: Address,
  prefixes: ClientPrefixes,
  workers: Iterable<W>,
): W | null {
  const key = hashOf(clientKey(remote, prefixes));
  let best: W | null = null;
  let most = -1;
  for (const worker of workers) {
    const weight = mix(key ^ mix(worker.index + 1));
    if (weight <= most) continue;
    best = worker;
    most = weight;
  }
  return best;
}

/** What clients are told apart by under `hash`; null under any other dispatch. */
export function hashPrefixes(dispatch: Dispatch): ClientPrefixes | null {
  if (dispatch === 'hash') return { ipv4: 32, ipv6: 64 };
  return typeof dispatch === 'object' ? { ...defaultClientPrefixes, ...defined(dispatch.hash) } : null;
}

/** FNV-1a over the characters. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finalizer of MurmurHash3: 32 bits, each of which depends on each of the input's. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

class ByFunction<Load extends WorkerLoad> implements Dispatcher<Load> {
  readonly #choose: DispatchFunction;
  readonly #failed: (error: unknown) => void;

  constructor(choose: DispatchFunction, failed: (error: unknown) => void) {
    this.#choose = choose;
    this.#failed = failed;
  }

  choose({ remote, local }: DispatchPeer, workers: readonly Load[]): Load | null {
    if (workers.length === 0) return null;
    try {
      const index: unknown = this.#choose({ remote, local }, workers);
      const chosen = workers.find((worker) => worker.index === index);
      if (chosen !== undefined) return chosen.room ? chosen : null;
      this.#failed(new RangeError(`dispatch chose ${String(index)}, and there is no such worker now`));
    } catch (error) {
      this.#failed(error);
    }
    return leastBusy(workers);
  }
}

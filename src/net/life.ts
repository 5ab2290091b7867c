import type { Clock } from '../sync/clock.ts';
import type { Deadline } from '../sync/deadline.ts';
import type { ProxyHeader } from '../codec/proxy-header.ts';
import type { Address } from '../transport/address.ts';
import type { CloseReason } from './close-reason.ts';
import type { Arrival } from './hand-over.ts';
import type { Opening } from './opening.ts';
import type { Outlet } from './outlet.ts';

const nothing = (): void => {};

/** What few connections need beyond reading and writing: who wants to know of the end, signals, corks, deadlines. Made when first needed. */
export class Life {
  #closed: PromiseWithResolvers<CloseReason> | null = null;
  #signal: AbortController | null = null;
  #draining: AbortController | null = null;
  #hooks: Set<(reason: CloseReason) => void> | null = null;
  /** What its writing needs beyond queueing. */
  outlet: Outlet | null = null;
  /** How the scope that owns the connection forgets it. */
  disown: (() => void) | null = null;
  /** What its waits go by, once they were needed. */
  clock: Clock | null = null;
  /** When waiting for the peer's end is over. */
  linger: Deadline | null = null;
  /** Why this side ends it, when the channel can't know. */
  why: CloseReason | null = null;
  /** Told when it may be idle now; not within a call of its handler. */
  onRest: (() => void) | null = null;
  /** The handshakes that are under way. */
  opening: Opening | null = null;
  /** Its handshakes did not come to a good end. */
  unopened = false;
  /** The peer by its PROXY header, when it is not what the socket says. */
  remote: Address | null = null;
  proxy: ProxyHeader | null = null;
  /** What it came with from another worker. */
  arrival: Arrival | null = null;

  get closed(): Promise<CloseReason> {
    this.#closed ??= Promise.withResolvers();
    return this.#closed.promise;
  }

  /** `over`: the error of the end, when it was before. */
  signal(over: () => Error | null): AbortSignal {
    if (this.#signal === null) {
      this.#signal = new AbortController();
      const error = over();
      if (error !== null) this.#signal.abort(error);
    }
    return this.#signal.signal;
  }

  get draining(): AbortController {
    this.#draining ??= new AbortController();
    return this.#draining;
  }

  onClose(hook: (reason: CloseReason) => void): () => void {
    this.#hooks ??= new Set();
    this.#hooks.add(hook);
    return () => {
      this.#hooks?.delete(hook);
    };
  }

  /** It is over. */
  end(reason: CloseReason, error: () => Error): void {
    this.linger?.disarm();
    this.disown?.();
    this.disown = null;
    this.#closed?.resolve(reason);
    this.#signal?.abort(error());
    const hooks = this.#hooks;
    this.#hooks = null;
    if (hooks !== null) for (const hook of hooks) hook(reason);
  }
}

/** A hook that there is nothing to take back of. */
export const unhooked: () => void = nothing;

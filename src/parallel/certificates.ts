import type { EndpointOptions } from '../server/options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import type { Plan } from './plan.ts';

/** The certificates that workers get: those of the options, until others took their place, as `Server.reloadTls` has them take it. */
export class Certificates {
  /** Whose place others take; undefined where several endpoints have their own, and no others. */
  readonly #first: TlsServerOptions | undefined;
  #now: TlsServerOptions | undefined;

  constructor({ tls, places }: Pick<Plan, 'tls' | 'places'>) {
    const all = new Set(places.flatMap((place) => (place.tls === undefined ? [] : [place.tls as TlsServerOptions])));
    const [only] = all.size === 1 ? all : [];
    this.#first = only ?? tls;
    this.#now = unwatched(this.#first);
  }

  /** Those whose place others take. One object until then, also where it travels together with those of endpoints. */
  get common(): TlsServerOptions | undefined {
    return this.#now;
  }

  /** Nothing of those before stays but the keys of their tickets, which are good at all workers. */
  replace(tls: TlsServerOptions): void {
    this.#now = unwatched({ ...tls, ticketKeys: tls.ticketKeys ?? this.#now?.ticketKeys });
  }

  /** Those of an endpoint. */
  of({ tls }: EndpointOptions): TlsServerOptions | undefined {
    return tls === this.#first ? tls && this.#now : unwatched(tls as TlsServerOptions | undefined);
  }
}

/** The parent watches the files. */
export function unwatched<T extends TlsServerOptions | undefined>(tls: T): T {
  return tls === undefined ? tls : { ...tls, watch: false };
}

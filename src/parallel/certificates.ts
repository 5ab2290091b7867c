import type { EndpointOptions } from '../server/options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';

/** The certificates that workers get: those of the options, until others took their place. */
export class Certificates {
  readonly #first: TlsServerOptions | undefined;
  #now: TlsServerOptions | undefined;

  constructor(tls: TlsServerOptions | undefined) {
    this.#first = this.#now = tls;
  }

  replace(tls: TlsServerOptions): void {
    this.#now = { ...this.#now, ...tls };
  }

  /** Those of an endpoint, which may have its own. */
  of({ tls }: EndpointOptions): TlsServerOptions | undefined {
    return (tls === this.#first ? this.#now : tls) as TlsServerOptions | undefined;
  }
}

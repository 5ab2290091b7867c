import { PortsideError } from '../base/errors.ts';
import { listen } from '../net/listen.ts';
import { settingsOf } from '../net/listener.ts';
import { transportName } from '../net/transports.ts';
import type { Clock } from '../sync/clock.ts';
import { TlsServerContext } from '../transport/tls/context.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { Intake } from './intake.ts';
import type { IntakeHost } from './intake.ts';
import type { Admission } from './admission.ts';
import type { Connection } from '../net/connection.ts';
import { placesOf } from './options.ts';
import type { EndpointOptions, ServerOptions } from './options.ts';
import { LocalPermits } from './permits.ts';
import type { PermitStore } from './permits.ts';
import { ShutdownPort } from './shutdown-port.ts';

/** Whose endpoints they are. */
export interface EndpointsHost extends IntakeHost {
  readonly admission: Admission;
  /** Watched certificates were read anew, or could not be. */
  reloaded(error: PortsideError | null): void;
  /** A hook of the user's threw. */
  report(error: unknown, connection: Connection | undefined): unknown;
}

/** What a connection to the shutdown port may do. */
export interface ShutdownAsk {
  ask(connection: Connection): unknown;
  stop(): void;
}

/** Everything that a server listens on. */
export class Endpoints<Host extends EndpointsHost = EndpointsHost> {
  readonly intakes: Intake<Host>[] = [];
  shutdown: ShutdownPort | null = null;
  readonly #options: ServerOptions;
  readonly #host: Host;
  readonly #clock: Clock;
  /** The certificates of the options, where they are this server's to close; and those of endpoints with their own, which live as long, also where listeners don't. */
  #tls: TlsServerContext | null = null;
  readonly #own: TlsServerContext[] = [];
  #transport: string | null = null;

  constructor(options: ServerOptions, host: Host, clock: Clock) {
    this.#options = options;
    this.#host = host;
    this.#clock = clock;
  }

  /** The names of what carries the bytes, each once, by commas. */
  get transport(): string {
    return (this.#transport ??= transportNames(this.#options));
  }

  /** Binds one after another, so that the first that can't be had is the one that is told; `called` off it rejects with that reason. What was bound by then is the caller's to close. */
  async bind(called: AbortSignal, end: ShutdownAsk): Promise<void> {
    const { shutdown, tls, transport } = this.#options;
    const signal = this.#options.signal === undefined ? called : AbortSignal.any([this.#options.signal, called]);
    // One for all endpoints, so that its tickets are good at each.
    if (tls !== undefined && !(tls instanceof TlsServerContext)) this.#tls = await TlsServerContext.create(tls);
    for (const { maxConnections, permits, ...place } of placesOf(this.#options)) {
      const listener = await listen({ ...place, signal, tls: await this.#contextOf(place.tls) });
      const { opening } = settingsOf(listener);
      if (opening !== null && opening.tls !== null && !(place.tls instanceof TlsServerContext))
        opening.tls.onReload = (error) => this.#host.reloaded(error);
      const own = permits ?? this.#limited(maxConnections);
      this.intakes.push(new Intake(listener, this.#host.admission, own, this.#host));
    }
    if (shutdown === undefined) return;
    this.shutdown = await ShutdownPort.open(
      shutdown,
      transport,
      (connection) => end.ask(connection),
      () => end.stop(),
      (error, connection) => void this.#host.report(error, connection),
    );
  }

  async #contextOf(tls: EndpointOptions['tls']): Promise<TlsServerContext | undefined> {
    if (tls === undefined || tls instanceof TlsServerContext) return tls;
    if (this.#tls !== null && tls === this.#options.tls) return this.#tls;
    const own = await TlsServerContext.create(tls);
    this.#own.push(own);
    return own;
  }

  #limited(connections: number | undefined): PermitStore | null {
    return connections === undefined ? null : new LocalPermits({ connections }, this.#clock);
  }

  /** What `Server.reloadTls` does. */
  async reloadTls(options: TlsServerOptions | undefined): Promise<void> {
    const contexts = new Set<TlsServerContext>();
    for (const { listener } of this.intakes) {
      const { opening } = settingsOf(listener);
      if (opening !== null && opening.tls !== null) contexts.add(opening.tls);
    }
    const fail = (why: string): PortsideError => new PortsideError('ERR_PORTSIDE_STATE', why, { op: 'reloadTls' });
    if (contexts.size === 0) throw fail('the server listens nowhere with TLS');
    const { tls } = this.#options;
    const common = tls instanceof TlsServerContext ? tls : this.#tls;
    const taking = [...contexts].find((context) => context === common || contexts.size === 1);
    if (options !== undefined && taking === undefined)
      throw fail('each endpoint has certificates of its own; give each a TlsServerContext, and reload that');
    const next = [...contexts].map((context) => ({ context, given: context === taking ? options : undefined }));
    // All are right before any is exchanged.
    if (next.length > 1) {
      for (const { context, given } of next)
        await TlsServerContext.create({ ...(given ?? context.options), watch: false });
    }
    for (const { context, given } of next) await context.reload(given);
  }

  /** Accepts no more, and gives the ports up. */
  async close(): Promise<void> {
    for (const context of [this.#tls, ...this.#own]) context?.close();
    for (const intake of this.intakes) intake.close();
    await Promise.all([...this.intakes.map(({ listener }) => listener.close()), this.shutdown?.close()]);
  }
}

function transportNames(options: ServerOptions): string {
  return [...new Set(placesOf(options).map(({ transport }) => transportName(transport)))].join(', ');
}

import { acceptorsOf } from '../net/listener.ts';
import type { EndByHand } from '../server/end-by-hand.ts';
import type { Handler } from '../server/handler.ts';
import type { Logger } from '../server/logger.ts';
import type { Measures } from '../server/measures.ts';
import type { EndpointOptions, ServerChanges, ServerOptions } from '../server/options.ts';
import { createServer, observeServer } from '../server/server.ts';
import type { Server } from '../server/server.ts';
import { reasonName } from '../server/status.ts';
import type { ConnectionStatus } from '../server/status.ts';
import type { Address } from '../transport/address.ts';
import type { Acceptor, Transport } from '../transport/contract.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { borrowedPermits } from './borrowed-permits.ts';
import type { BorrowedPermits } from './borrowed-permits.ts';
import type { Departures } from './departures.ts';
import type { WorkerOptions } from './options.ts';
import type { WorkerDrain, WorkerInit, WorkerLedger, WorkerPlace } from './protocol.ts';
import type { Serving } from './serving.ts';
import { untilTaken } from './taking.ts';
import type { Tally } from './tally.ts';
import { WorkerTransport } from './worker-transport.ts';

/** Who is told in the parent. */
export interface Report {
  /** `remote`: whose handler it was; undefined where it was nobody's. */
  failed(error: unknown, remote?: Address): void;
  trouble(error: unknown): void;
  /** A line of `verbose`. */
  line(line: string): void;
  /** What its log goes to; undefined without one. */
  readonly logger: Logger | undefined;
  /** It accepts no more. */
  closed(): void;
}

/** Serves by a handler that the module exports. */
export class ServedWorker implements Serving {
  readonly #server: Server;
  readonly #permits: BorrowedPermits;
  /** Who waits to be taken. */
  readonly #acceptors: readonly Acceptor[];
  readonly #tally: Tally;
  /** Those that arrived when it was too late to serve them. */
  readonly #late: { readonly count: number };

  /** Begins suspended. */
  static async start(
    handler: Handler,
    own: WorkerOptions,
    init: WorkerInit,
    base: Transport,
    tally: Tally,
    departures: Departures,
    report: Report,
  ): Promise<ServedWorker> {
    const permits = borrowedPermits(init.permits);
    const acceptors: Acceptor[] = [];
    /** Where the permits of each place are from. */
    const stores: (readonly BorrowedPermits[])[] = [];
    const late = { count: 0 };
    const turnedAway = (): void => {
      late.count += 1;
      tally.turnedAway();
    };
    const { logLevel: _, ...given } = init.options;
    const options: ServerOptions = {
      ...given,
      ...own,
      logger: report.logger,
      ...linesOf(init, report),
      permits,
      tls: init.tls,
      listen: init.places.map((place) =>
        placeOf(place, base, permits, turnedAway, tally.measures, (acceptor, of) => {
          acceptors.push(acceptor);
          stores.push(of);
        }),
      ),
    };
    const server = createServer(handler, options);
    // Where clients were not counted, those that are in are from now on.
    permits.onLimits = ({ perClient }) => server.set({ maxPerClient: perClient });
    observeServer(server, tally, {
      handOver: (connection, worker, value, { intake, ...leaving }) => {
        const place = acceptors.indexOf(acceptorsOf(intake.listener)[0]!);
        return departures.handOver(connection, worker, value, { ...leaving, place, permits: stores[place]! });
      },
      homeOf: (connection) => departures.homeOf(connection),
    });
    server.on('error', (error, connection) => report.failed(error, connection?.remote));
    server.on('trouble', (error) => report.trouble(error));
    server.on('state', (state) => {
      if (state === 'draining' || state === 'stopped') report.closed();
    });
    server.suspend();
    await server.start();
    return new ServedWorker(server, permits, acceptors, tally, late);
  }

  private constructor(
    server: Server,
    permits: BorrowedPermits,
    acceptors: readonly Acceptor[],
    tally: Tally,
    late: { readonly count: number },
  ) {
    this.#tally = tally;
    this.#late = late;
    this.#server = server;
    this.#permits = permits;
    this.#acceptors = acceptors;
  }

  get addresses(): readonly Address[] {
    return this.#server.addresses;
  }

  resume(): void {
    this.#server.resume();
  }

  suspend(): void {
    this.#server.suspend();
  }

  set(changes: ServerChanges): void {
    this.#server.set(changes);
  }

  reloadTls(options: TlsServerOptions | undefined): Promise<void> {
    return this.#server.reloadTls(options);
  }

  async drain({ settle, grace, spread }: WorkerDrain): Promise<WorkerLedger> {
    const end = performance.now() + grace;
    // Where it accepts by itself, another goes on with the port, or nobody does; whom this one has been given already is served.
    if (settle > 0) this.#server.suspend();
    else await this.#takeAll(end);
    const { entries, ...counts } = await this.#server.drain({
      lead: settle,
      grace: Math.max(0, grace - settle),
      spread: Math.min(spread, grace),
    });
    this.#permits.close();
    return {
      ...counts,
      connections: counts.connections + this.#late.count,
      failed: counts.failed + this.#late.count,
      entries: entries.map(({ reason, ...entry }) => ({
        ...entry,
        reason: reason === null ? null : reasonName(reason),
      })),
    };
  }

  /** Lets in who waits: the parent has let them in, or the kernel. */
  async #takeAll(end: number): Promise<void> {
    // What was sent by another port may be a turn behind.
    await new Promise(setImmediate);
    await untilTaken({
      waits: () => this.#acceptors.some((acceptor) => acceptor.pending()),
      taken: () => this.#tally.taken,
      goesOn: () => this.#server.state === 'running' && performance.now() < end,
    });
  }

  connections(): readonly ConnectionStatus[] {
    return this.#server.status({ connections: true }).connections ?? [];
  }

  endConnections(ids: readonly number[], how: EndByHand): number {
    return this.#server.closeConnections(ids, how);
  }
}

/** Lines of several workers are told apart by their prefix. */
function linesOf({ options: { verbose }, index }: WorkerInit, report: Report): Pick<ServerOptions, 'verbose' | 'log'> {
  if (verbose === undefined || verbose === false) return {};
  const prefix = `${verbose === true ? 'portside' : verbose} ${index}`;
  return { verbose: prefix, log: (line) => report.line(line) };
}

/** A place as the server of a worker listens on it. */
function placeOf(
  place: WorkerPlace,
  base: Transport,
  permits: BorrowedPermits,
  turnedAway: () => void,
  measures: Measures,
  opened: (acceptor: Acceptor, stores: readonly BorrowedPermits[]) => void,
): EndpointOptions {
  const { source, address, secure, options } = place;
  const own = place.permits === null ? null : borrowedPermits(place.permits);
  const stores = own === null ? [permits] : [permits, own];
  const transport = new WorkerTransport(base, source, address, stores, turnedAway, measures, (acceptor) =>
    opened(acceptor, stores),
  );
  return {
    ...options,
    tls: options.tls,
    endpoint: endpointOf(address, secure),
    transport,
    ...(own === null ? {} : { permits: own }),
  };
}

/** `tcp://` begins in the clear, and `tls://` under TLS; a path begins under TLS when there are certificates. */
function endpointOf(address: Address, secure: boolean): NonNullable<EndpointOptions['endpoint']> {
  switch (address.family) {
    case 'ipv4':
    case 'ipv6':
      return { kind: secure ? 'tls' : 'tcp', host: address.host, port: address.port };
    case 'unix':
      return { kind: 'unix', path: address.path };
    case 'memory':
      return { kind: 'memory', name: address.name };
  }
}

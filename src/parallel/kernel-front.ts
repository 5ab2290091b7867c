import { closeSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import type { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import { listen, listenEndpoint } from '../net/listen.ts';
import { acceptorsOf, settingsOf } from '../net/listener.ts';
import type { Listener } from '../net/listener.ts';
import { Admission } from '../server/admission.ts';
import { Endpoints } from '../server/endpoints.ts';
import type { EndpointsHost, ShutdownAsk } from '../server/endpoints.ts';
import type { EndpointOptions, ServerOptions } from '../server/options.ts';
import type { Clock } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { Certificates } from './certificates.ts';
import type { CrewWorker, Equipment } from './crew-worker.ts';
import { withoutPlace } from './front.ts';
import type { Front, FrontHost } from './front.ts';
import { PermitPool } from './permit-pool.ts';
import type { Loan } from './permit-pool.ts';
import type { Plan } from './plan.ts';
import { sharedSource, takeOver } from './protocol.ts';
import type { WorkerPlace } from './protocol.ts';
import { workerPlaceOptions } from './worker-options.ts';

/** One place of the listener, as it was bound first. */
interface Bound {
  readonly options: EndpointOptions;
  readonly addresses: readonly Address[];
  readonly secure: boolean;
  readonly pool: PermitPool | null;
  /** The sockets of each worker, by its index, where they stay with the parent. */
  readonly sockets: Map<number, Listener>;
}

/** Every worker listens on the port, and the kernel spreads the clients (SO_REUSEPORT, socket(7)). */
export class KernelFront implements Front, EndpointsHost {
  readonly clock: Clock;
  readonly admission: Admission;
  readonly endpoints: Endpoints<KernelFront>;
  readonly accepted = null;
  readonly held = 0;
  readonly handedOver = 0;
  readonly handOver = null;
  readonly measures = null;
  readonly ends: Readonly<Record<string, number>> = {};
  readonly #host: FrontHost;
  readonly #plan: Plan;
  readonly #certificates: Certificates;
  readonly #bound: Bound[] = [];

  constructor(options: ServerOptions, plan: Plan, pool: PermitPool, clock: Clock, host: FrontHost) {
    this.clock = clock;
    this.#host = host;
    this.#plan = plan;
    this.#certificates = new Certificates(plan);
    this.admission = new Admission({ ...options, permits: pool.store }, clock, {
      refused: (remote, refusal) => host.refused(remote, refusal),
      failed: (error) => host.report(error),
    });
    const places = plan.places.map(({ maxConnections: _, ...place }): EndpointOptions => ({
      ...place,
      reusePort: true,
    }));
    const all = { ...options, transport: plan.transport, ...withoutPlace, listen: places };
    this.endpoints = new Endpoints(all, this, clock);
  }

  get addresses(): readonly Address[] {
    return this.#bound.flatMap(({ addresses }) => addresses);
  }

  get backlogIsKernel(): boolean {
    return this.#plan.way === 'shared';
  }

  async bind(called: AbortSignal, end: ShutdownAsk): Promise<void> {
    await this.endpoints.bind(called, end);
    for (const [i, { listener }] of this.endpoints.intakes.entries()) {
      const { maxConnections, ...options } = this.#plan.places[i]!;
      const { opening } = settingsOf(listener);
      this.#bound.push({
        options,
        addresses: listener.addresses,
        secure: opening !== null && opening.atOnce,
        pool: maxConnections === undefined ? null : new PermitPool({ connections: maxConnections }, this.clock),
        sockets: new Map([[0, listener]]),
      });
      // Node would accept here. The workers bind the same port in a moment.
      if (this.#plan.way === 'bound') await listener.close();
    }
  }

  async equip(index: number): Promise<Equipment> {
    const places: WorkerPlace[] = [];
    const loans: (Loan | null)[] = [];
    const transfer: MessagePort[] = [];
    // All at one time: others may take their place meanwhile.
    const tls = this.#certificates.common;
    const given = this.#bound.map((bound) => workerPlaceOptions(bound.options, this.#certificates.of(bound.options)));
    for (const [i, bound] of this.#bound.entries()) {
      const options = given[i]!;
      const { secure, pool } = bound;
      const add = (address: Address, source: WorkerPlace['source']): void => {
        const loan = pool?.lend('leased') ?? null;
        transfer.push(...(loan?.transfer ?? []));
        loans.push(loan);
        places.push({ source, address, secure, options, permits: loan?.ticket ?? null });
      };
      if (this.#plan.way === 'bound') {
        for (const address of bound.addresses) add(address, { kind: 'bound' });
        continue;
      }
      for (const acceptor of acceptorsOf(await this.#socketOf(bound, index)))
        add(acceptor.address, sharedSource(acceptor.share!()));
    }
    return { places, tls, passages: [], settingOut: [], loans, transfer };
  }

  unequip(index: number): void {
    for (const { sockets } of this.#bound) {
      // The last stays, so that the port is this listener's.
      if (sockets.size === 1) continue;
      void sockets.get(index)?.close();
      sockets.delete(index);
    }
  }

  open(): void {
    this.endpoints.shutdown?.open();
    this.resume();
  }

  suspend(): void {
    for (const { thread } of this.#host.serving) thread.tell({ kind: 'suspend' });
  }

  resume(): void {
    for (const { thread } of this.#host.serving) thread.tell({ kind: 'resume' });
  }

  again(): void {}

  meet(): void {}

  withdraw(): { lost: number; ids: readonly number[] } {
    return { lost: 0, ids: [] };
  }

  reclaim({ loan, sheet, equipment }: CrewWorker): { lost: number; ids: readonly number[] } {
    const { accepted, closed, detached } = sheet.read();
    this.discard(equipment);
    loan.end();
    return { lost: accepted - closed - detached, ids: [] };
  }

  discard({ places, loans }: Equipment): void {
    for (const { source } of places) if (source.kind === 'shared' && takeOver(source)) closeSync(source.fd);
    for (const own of loans) own?.end();
  }

  /** The sockets live on in the workers until they have let in who waits. */
  async close(): Promise<void> {
    const sockets = this.#bound.flatMap((bound) => [...bound.sockets.values()]);
    await Promise.all([this.endpoints.close(), ...sockets.map((listener) => listener.close())]);
  }

  settle(): Promise<void> {
    return Promise.resolve();
  }

  certify(tls: TlsServerOptions): void {
    this.#certificates.replace(tls);
  }

  // ---- what its endpoints tell ----

  take(channel: Channel): void {
    // They are never opened.
    channel.destroy('reset');
  }

  known(): CloseReason | null {
    return null;
  }

  trouble(error: PortsideError): void {
    this.#host.trouble(error);
  }

  reloaded(error: PortsideError | null): void {
    this.#host.reloaded(error);
  }

  report(error: unknown): void {
    this.#host.report(error);
  }

  async #socketOf({ options, addresses, sockets }: Bound, index: number): Promise<Listener> {
    const there = sockets.get(index);
    if (there !== undefined) return there;
    const [first] = addresses;
    const port = first !== undefined && 'port' in first ? first.port : 0;
    const endpoint = listenEndpoint(options);
    const host = endpoint.kind === 'tcp' || endpoint.kind === 'tls' ? endpoint.host : undefined;
    const { families, ipv6Only, backlog, reuse } = options;
    const listener = await listen({
      port,
      host,
      families,
      ipv6Only,
      backlog,
      reuse,
      reusePort: true,
      transport: this.#plan.transport,
    });
    sockets.set(index, listener);
    return listener;
  }
}

import { performance } from 'node:perf_hooks';
import type { MessagePort } from 'node:worker_threads';
import type { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { headOf } from '../net/hand-over.ts';
import { settingsOf } from '../net/listener.ts';
import { Admission } from '../server/admission.ts';
import type { ClientPrefixes } from '../server/client-key.ts';
import { Endpoints } from '../server/endpoints.ts';
import type { EndpointsHost, ShutdownAsk } from '../server/endpoints.ts';
import type { Intake } from '../server/intake.ts';
import { Measures } from '../server/measures.ts';
import type { EndpointOptions, ServerOptions } from '../server/options.ts';
import type { Refusal } from '../server/refusal.ts';
import type { Clock } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import type { Passage, PassageTicket } from '../transport/passage.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { Certificates } from './certificates.ts';
import type { CrewWorker, Equipment } from './crew-worker.ts';
import type { HandOverTicket } from './departures.ts';
import { dispatcher, leastBusy } from './dispatch.ts';
import type { Dispatch, Dispatcher } from './dispatch.ts';
import { HandOvers } from './hand-overs.ts';
import type { Passing } from './hand-overs.ts';
import { PermitPool } from './permit-pool.ts';
import type { Loan } from './permit-pool.ts';
import { homesOf } from './plan.ts';
import type { Plan } from './plan.ts';
import type { WorkerPlace } from './protocol.ts';
import { SettingOut } from './setting-out.ts';
import { untilTaken } from './taking.ts';
import { workerPlaceOptions } from './worker-options.ts';

/** Where a parallel listener stands towards its clients. */
export interface Front {
  readonly admission: Admission;
  readonly endpoints: Endpoints;
  readonly addresses: readonly Address[];
  readonly backlogIsKernel: boolean;
  /** Connections that were let in here; null where the workers let in. */
  readonly accepted: number | null;
  /** Connections that wait for a worker with room. */
  readonly held: number;
  /** How often one worker has handed a connection over to another. */
  readonly handedOver: number;
  /** Connections that were let in here and came to no worker: how many, by why they are over. */
  readonly ends: Readonly<Record<string, number>>;
  /** What is measured here; null where nothing is. */
  readonly measures: Measures | null;
  bind(called: AbortSignal, end: ShutdownAsk): Promise<void>;
  /** What one more worker of that index is given to listen on. */
  equip(index: number): Promise<Equipment>;
  open(): void;
  suspend(): void;
  resume(): void;
  /** Workers that are started from now on get these certificates, in the place of the option `tls`. */
  certify(tls: TlsServerOptions): void;
  /** What workers know of one another to hand connections over; null where they can't. */
  readonly handOver: HandOverTicket | null;
  /** A worker could accept; `wayOut`: where connections come from that it hands over. */
  meet(worker: CrewWorker, wayOut: PassageTicket | null): void;
  /** A worker of that index comes no more. */
  unequip(index: number): void;
  /** Looks again: limits have changed, or somebody has room. */
  again(): void;
  /** A worker takes nobody any more: those that it has not taken go to others. How many were lost, and their ids. */
  withdraw(worker: CrewWorker): { readonly lost: number; readonly ids: readonly number[] };
  /** A worker is gone: as `withdraw`, and what else it had is lost too. */
  reclaim(worker: CrewWorker): { readonly lost: number; readonly ids: readonly number[] };
  /** Equipment that comes to no use any more. */
  discard(equipment: Equipment): void;
  /** Accepts no more; those that are held still go to a worker. */
  close(): Promise<void>;
  /** Resolves when nobody is held; those that nobody takes, or that are still there when the time is over, are refused. A further call can only make it sooner. */
  settle(within: number): Promise<void>;
}

/** Who hears of what happens at the front. */
export interface FrontHost {
  /** The workers that may be given connections, in the order of their indexes. */
  readonly serving: readonly CrewWorker[];
  /** Whether there is anybody to wait for. */
  readonly hope: boolean;
  /** A connection that was let in is over, and came to no worker. */
  ended(): void;
  refused(remote: Address, refusal: Refusal): void;
  trouble(error: PortsideError): void;
  reloaded(error: PortsideError | null): void;
  report(error: unknown): void;
}

interface Held {
  readonly channel: Channel;
  readonly intake: Intake;
  readonly id: number;
  readonly place: number;
  /** When it was accepted, by `performance.now()`, which counts from the start of the process in every thread. */
  readonly at: number;
}

/** The parent accepts, and hands every connection to a worker. */
export class HandedFront implements Front, EndpointsHost {
  readonly clock: Clock;
  readonly admission: Admission;
  readonly endpoints: Endpoints<HandedFront>;
  readonly pool: PermitPool;
  accepted = 0;
  handedOver = 0;
  readonly ends: Record<string, number> = {};
  readonly measures: Measures = new Measures();
  readonly #host: FrontHost;
  readonly #plan: Plan;
  readonly #queue: number;
  readonly #pools: (PermitPool | null)[] = [];
  readonly #dispatcher: Dispatcher<CrewWorker>;
  readonly #waiting: Held[] = [];
  /** Nobody comes any more. */
  #closed = false;
  #settling: Promise<void> | null = null;
  #end = Infinity;
  readonly #certificates: Certificates;
  /** Clients of proxies are sent to where they belong by the workers; null: by nobody. */
  readonly #homes: ClientPrefixes | null;
  /** Null where the transport moves fresh connections only. */
  readonly #handOvers: HandOvers | null;

  constructor(
    options: ServerOptions & { dispatch: Exclude<Dispatch, 'kernel'>; queue: number },
    plan: Plan,
    pool: PermitPool,
    clock: Clock,
    host: FrontHost,
  ) {
    this.clock = clock;
    this.pool = pool;
    this.#host = host;
    this.#plan = plan;
    this.#queue = options.queue;
    this.#certificates = new Certificates(plan);
    this.#dispatcher = dispatcher(options.dispatch, (error) => host.report(error));
    this.admission = new Admission({ ...options, permits: pool.store }, clock, {
      refused: (remote, refusal) => host.refused(remote, refusal),
      failed: (error) => host.report(error),
    });
    this.#homes = homesOf(options.dispatch, plan);
    this.#handOvers = plan.transport.flags.handOver ? this.#exchange() : null;
    const listen = plan.places.map(({ maxConnections, ...place }): EndpointOptions => {
      const own = maxConnections === undefined ? null : new PermitPool({ connections: maxConnections }, clock);
      this.#pools.push(own);
      return own === null ? place : { ...place, permits: own.store };
    });
    this.endpoints = new Endpoints({ ...options, transport: plan.transport, ...withoutPlace, listen }, this, clock);
  }

  get addresses(): readonly Address[] {
    return this.endpoints.intakes.flatMap(({ listener }) => listener.addresses);
  }

  get backlogIsKernel(): boolean {
    return this.endpoints.intakes.every(({ listener }) => listener.backlogIsKernel);
  }

  get held(): number {
    return this.#waiting.length + (this.#handOvers?.held ?? 0);
  }

  get handOver(): HandOverTicket | null {
    return this.#handOvers?.ticket ?? null;
  }

  bind(called: AbortSignal, end: ShutdownAsk): Promise<void> {
    return this.endpoints.bind(called, end);
  }

  equip(): Promise<Equipment> {
    const places: WorkerPlace[] = [];
    const passages: Passage[] = [];
    const settingOut: SettingOut[] = [];
    const loans: (Loan | null)[] = [];
    const transfer: MessagePort[] = [];
    for (const [i, { listener }] of this.endpoints.intakes.entries()) {
      const passage = this.#plan.transport.passages!.passage(this.#queue);
      passage.onRoom = () => this.again();
      const loan = this.#pools[i]?.lend('handed') ?? null;
      transfer.push(...passage.transfer, ...(loan?.transfer ?? []));
      const setOut = new SettingOut(this.#queue);
      settingOut.push(setOut);
      passages.push(passage);
      loans.push(loan);
      const { opening } = settingsOf(listener);
      places.push({
        source: {
          kind: 'arrivals',
          ticket: passage.ticket,
          setOut: setOut.shared,
          kernelQueue: listener.backlogIsKernel,
        },
        address: listener.address,
        secure: opening !== null && opening.atOnce,
        options: workerPlaceOptions(this.#plan.places[i]!, this.#certificates.of(this.#plan.places[i]!)),
        permits: loan?.ticket ?? null,
      });
    }
    return Promise.resolve({ places, tls: this.#certificates.common, passages, settingOut, loans, transfer });
  }

  unequip(): void {}

  open(): void {
    for (const intake of this.endpoints.intakes) intake.open();
    this.endpoints.shutdown?.open();
  }

  suspend(): void {
    for (const { listener } of this.endpoints.intakes) listener.suspend();
  }

  resume(): void {
    for (const { listener } of this.endpoints.intakes) listener.resume();
    this.again();
  }

  meet(worker: CrewWorker, wayOut: PassageTicket | null): void {
    if (wayOut !== null) this.#handOvers?.meet(worker, wayOut);
  }

  /** Those that workers hand over to one another; they have their permits, and have been counted. */
  #exchange(): HandOvers {
    const host = this.#host;
    return new HandOvers(this.#plan.transport, this.#queue, this.#homes, {
      get serving() {
        return host.serving;
      },
      left: ({ place, client }, worker) => {
        this.handedOver += 1;
        worker.handedOver += 1;
        worker.given -= 1;
        worker.loan.takeBack(client);
        worker.equipment.loans[place]?.takeBack();
      },
      // When it left is in its letter.
      pass: ({ channel, id, place, client }, worker) => this.#pass(worker, channel, id, place, client, 0),
      refuse: ({ channel, place, client }) => this.#refuse(channel, this.endpoints.intakes[place]!, client),
      trouble: (error) => host.trouble(error),
    });
  }

  again(): void {
    this.#flush();
    this.#handOvers?.again();
    if (this.#closed && this.held > 0 && !this.#host.hope) this.#giveUp();
    if (this.#waiting.length > 0) return;
    for (const intake of this.endpoints.intakes) intake.again();
  }

  withdraw(worker: CrewWorker): { lost: number; ids: readonly number[] } {
    const { equipment, loan } = worker;
    const ids: number[] = [];
    const back: Held[] = [];
    const moved: Passing[] = [];
    for (const [place, passage] of equipment.passages.entries()) {
      const untaken = passage.end();
      for (const [i, { id, channel }] of untaken.entries()) {
        const intake = this.endpoints.intakes[place]!;
        const letter = channel?.letter ?? null;
        const { to, client } = letter === null ? { to: 0, client: null } : headOf(letter);
        worker.given -= 1;
        loan.takeBack(client);
        equipment.loans[place]?.takeBack();
        if (channel === null || channel.closed) {
          ids.push(id);
          this.#free(intake, client);
        } else if (letter === null) {
          const at = equipment.settingOut[place]!.of(untaken.length - 1 - i);
          back.push({ channel, intake, id, place, at });
        } else moved.push({ channel, id, place, to, client });
      }
    }
    // They keep their permits.
    this.#waiting.unshift(...back.toSorted((a, b) => a.id - b.id));
    for (const passing of moved) this.#handOvers?.pass(passing);
    return { lost: ids.length, ids };
  }

  reclaim(worker: CrewWorker): { lost: number; ids: readonly number[] } {
    this.#handOvers?.part(worker);
    const { lost, ids } = this.withdraw(worker);
    const { closed, detached } = worker.sheet.read();
    this.discard(worker.equipment);
    worker.loan.end();
    return { lost: lost + worker.given - closed - detached, ids };
  }

  discard({ passages, loans }: Equipment): void {
    for (const passage of passages) passage.end();
    for (const own of loans) own?.end();
  }

  async close(): Promise<void> {
    this.#handOvers?.close();
    await this.endpoints.close();
  }

  settle(within: number): Promise<void> {
    this.#closed = true;
    this.#end = Math.min(this.#end, performance.now() + within);
    this.again();
    this.#settling ??= untilTaken({
      waits: () => this.#waiting.length > 0 || this.#handOvers?.busy === true,
      taken: () => this.held,
      goesOn: () => performance.now() < this.#end,
    }).then(() => this.#giveUp());
    return this.#settling;
  }

  /** Nobody is left who could serve those that wait. */
  #giveUp(): void {
    for (const { channel, intake } of this.#waiting.splice(0)) this.#refuse(channel, intake, null);
    this.#handOvers?.giveUp();
  }

  #refuse(channel: Channel, intake: Intake, client: string | null): void {
    this.#free(intake, client);
    this.admission.refuse(channel, { kind: 'stopping' }, channel.remote, intake.clear);
    this.#ended('refused');
  }

  /** Gives the permits of a connection back that is no worker's. */
  #free(intake: Intake, client: string | null): void {
    intake.give();
    if (client !== null) this.pool.giveFor(client);
  }

  #ended(reason: string): void {
    this.ends[reason] = (this.ends[reason] ?? 0) + 1;
    this.#host.ended();
  }

  // ---- what its endpoints tell ----

  take(channel: Channel, intake: Intake): void {
    this.accepted += 1;
    const place = this.endpoints.intakes.indexOf(intake as Intake<HandedFront>);
    const at = performance.now();
    if (this.#waiting.length === 0 && this.#hand(channel, this.accepted, place, at)) {
      this.measures.queue.add(0);
      return;
    }
    this.#waiting.push({ channel, intake, id: this.accepted, place, at });
    // One more of each listener may be on its way up; beyond that clients wait where the backlog is.
    for (const one of this.endpoints.intakes) one.hold();
  }

  known(_connection: Connection, _channel: Channel): CloseReason | null {
    return null;
  }

  trouble(error: PortsideError): void {
    this.#host.trouble(error);
  }

  reloaded(error: PortsideError | null): void {
    this.#host.reloaded(error);
  }

  certify(tls: TlsServerOptions): void {
    this.#certificates.replace(tls);
  }

  report(error: unknown): void {
    this.#host.report(error);
  }

  #flush(): void {
    while (this.#waiting.length > 0) {
      const { channel, id, place, at } = this.#waiting[0]!;
      if (!this.#hand(channel, id, place, at)) return;
      this.#waiting.shift();
      this.measures.queue.add(performance.now() - at);
    }
  }

  #hand(channel: Channel, id: number, place: number, at: number): boolean {
    const { serving } = this.#host;
    // Of who comes by a proxy it is not known yet who it is.
    const unknown = this.#homes !== null && this.endpoints.intakes[place]!.passesOn(channel.remote);
    const worker = unknown ? leastBusy(serving) : this.#dispatcher.choose(channel, serving);
    return worker !== null && this.#pass(worker, channel, id, place, null, at);
  }

  #pass(worker: CrewWorker, channel: Channel, id: number, place: number, client: string | null, at: number): boolean {
    const setOut = worker.equipment.settingOut[place]!;
    try {
      setOut.note(at);
      if (!worker.equipment.passages[place]!.give(channel, id))
        return channel.closed && this.#drop(place, 'reset', client);
    } catch (error) {
      // One client's, and nobody else's: no memory for what came with it, or a transport that can't carry it.
      channel.destroy('reset');
      this.#host.report(error);
      return this.#drop(place, 'failed', client);
    }
    setOut.gave();
    worker.given += 1;
    worker.loan.handed(client);
    worker.equipment.loans[place]?.handed();
    return true;
  }

  /** A client that was over before it could be handed on, or can't be. */
  #drop(place: number, reason: string, client: string | null): boolean {
    this.#free(this.endpoints.intakes[place]!, client);
    this.#ended(reason);
    return true;
  }
}

/** What says where to listen, which each place has for itself. */
export const withoutPlace = {
  endpoint: undefined,
  port: undefined,
  host: undefined,
  path: undefined,
  fd: undefined,
  maxConnections: undefined,
};

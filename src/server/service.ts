import { PortsideError, systemCode } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { deadlinesOf } from '../net/deadlines.ts';
import type { DeadlineOptions } from '../net/deadlines.ts';
import { UNSERVED, noWorker } from '../net/hand-over.ts';
import { closedError } from '../net/link-errors.ts';
import { settingsOf } from '../net/listener.ts';
import { HANDSHAKE_TIMEOUT } from '../net/opening.ts';
import type { Clock } from '../sync/clock.ts';
import { currentScope } from '../sync/scope.ts';
import type { Scope } from '../sync/scope.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import { Admission } from './admission.ts';
import type { AdmissionHost } from './admission.ts';
import { current } from './ambient.ts';
import { closeChannel, detachChannel, handlerErrorChannel, refusedChannel, startChannel } from './channels.ts';
import { Clients } from './clients.ts';
import type { ClientsHost } from './clients.ts';
import { dispatchOf, tellDraining } from './dispatch.ts';
import type { Begin } from './dispatch.ts';
import type { Drain } from './drain.ts';
import { endByHand } from './end-by-hand.ts';
import type { EndByHand } from './end-by-hand.ts';
import type { ServerEvents } from './events.ts';
import type { Handler } from './handler.ts';
import { hardClose, tellFailure } from './hard-close.ts';
import { callHook } from './hook.ts';
import type { Intake } from './intake.ts';
import { Measures } from './measures.ts';
import type { ServerOptions } from './options.ts';
import type { Fail } from './protocol-consumer.ts';
import type { Refusal } from './refusal.ts';
import { Served } from './served.ts';
import type { ServedHost } from './served.ts';
import { serverLogOf } from './server-log.ts';
import type { ServerLog } from './server-log.ts';
import type { Server } from './server.ts';
import { connectionStatus, reasonName } from './status.ts';
import type { ConnectionStatus } from './status.ts';
import { verboseOf } from './verbose.ts';
import type { Verbose } from './verbose.ts';

/** How a server tells what happens to those who listen. */
export type Emit = <K extends keyof ServerEvents>(name: K, ...args: ServerEvents[K]) => void;

/** Who keeps a server's counts where they outlive its thread. */
export interface ServiceObserver {
  /** Where it measures from then on. */
  readonly measures: Measures;
  accepted(connection: Connection): void;
  /** `reason`: the name under which its end is counted. */
  closed(connection: Connection, reason: string): void;
  detached(connection: Connection): void;
  handedOver(connection: Connection): void;
  refused(refusal: Refusal): void;
  trouble(): void;
  failed(): void;
}

/** What its server knows of a connection that is to be handed over. */
export interface Leaving {
  readonly intake: Intake<ServedHost>;
  /** Milliseconds since it was accepted, when asked. */
  readonly age: () => number;
  /** Under which client it is counted; null where it is not. */
  readonly client: () => string | null;
  /** It is gone: the server forgets it. */
  readonly left: () => void;
}

/** The other workers, for a server that is one of them. */
export interface WayOut {
  /** What `Connection.handOver` does. */
  handOver(connection: Connection, worker: number, value: unknown, leaving: Leaving): Promise<void>;
  /** The worker that a connection belongs to, whose handshakes are over; null for this one. */
  homeOf(connection: Connection): number | null;
}

/** A server's connections: from the accept to the end, with everything that is counted. */
export class Service implements ServedHost, AdmissionHost, ClientsHost {
  readonly admission: Admission;
  readonly verbose: Verbose | null;
  readonly log: ServerLog | null;
  readonly connections: Served[] = [];
  accepted = 0;
  closed = 0;
  detached = 0;
  handedOver = 0;
  errors = 0;
  troubles = 0;
  /** How connections ended, by reason. */
  readonly reasons: Record<string, number> = {};
  measures: Measures = new Measures();
  /** The server's end, once it has begun. */
  drain: Drain | null = null;
  /** Who keeps count elsewhere. */
  observer: ServiceObserver | null = null;
  /** Where connections can be handed over; null where there are no other workers. */
  wayOut: WayOut | null = null;
  /** When the server began, by the clock. */
  began = 0;
  readonly scope: Scope | undefined = currentScope();
  readonly clock: Clock;
  readonly #server: Server;
  readonly #handler: Handler;
  readonly #options: ServerOptions;
  readonly #emit: Emit;
  readonly #begin: Begin;
  readonly #clients: Clients;
  /** Open connections whose handlers have begun. */
  #begun = 0;
  /** Bytes of connections that are over, or were given away. */
  #read = 0;
  #written = 0;

  constructor(server: Server, handler: Handler, options: ServerOptions, clock: Clock, emit: Emit) {
    this.#server = server;
    this.#handler = handler;
    this.#options = options;
    this.clock = clock;
    this.#emit = emit;
    this.verbose = verboseOf(options, (error) => this.failed(error));
    this.log = serverLogOf(options, clock, (error) => this.failed(error));
    this.admission = new Admission(options, clock, this);
    this.#clients = new Clients(this.admission, clock, this);
    this.#begin = dispatchOf(handler, server, options.ambient ?? true, this.fail);
  }

  get opening(): number {
    return this.connections.length - this.#begun;
  }

  // ---- a connection's way ----

  /** It has its permits, and is served when its handshakes are over and its client may have one more. */
  take(channel: Channel, intake: Intake<ServedHost>): void {
    const handedOver = (channel.letter ?? null) !== null;
    const connection = intake.connect(channel);
    if (connection === null) return;
    this.accepted += 1;
    this.observer?.accepted(connection);
    const inside = link(connection);
    const arrival = handedOver ? inside.life.arrival : null;
    const born = this.clock.now() - this.began - (arrival === null ? 0 : arrival.age);
    const served = new Served(intake, connection, this.accepted, Math.ceil(born));
    served.index = this.connections.push(served) - 1;
    inside.owner = served;
    if (arrival !== null) this.#clients.arrived(served, arrival.client);
    this.verbose?.accepted(served);
    if (inside.reason !== null) this.gone(served, inside.reason);
    else if (intake.opening !== null && arrival === null) void this.#whenOpened(served);
    else this.#clients.admit(served);
  }

  async #whenOpened(served: Served): Promise<void> {
    const since = this.clock.now();
    try {
      await served.connection.opened;
    } catch {
      // The connection's reason tells it.
      return;
    }
    this.measures.handshake.add(this.clock.now() - since);
    const home = this.wayOut?.homeOf(served.connection) ?? null;
    if (home === null || !(await this.#sendHome(served, home))) this.#clients.admit(served);
  }

  /** Whether it has gone to the worker that it belongs to, or is over. */
  async #sendHome(served: Served, home: number): Promise<boolean> {
    const { connection } = served;
    try {
      await this.#moveTo(served, home, UNSERVED);
      return true;
    } catch (error) {
      // Where there is no room it waits for it, as it would on its way from the accept. One that has nobody to go to any more is served here.
      if (systemCode(error) === 'ERR_PORTSIDE_TIMEOUT') link(connection).miss('handshake', HANDSHAKE_TIMEOUT);
      return link(connection).closing;
    }
  }

  known(connection: Connection, channel: Channel, intake: Intake): Promise<CloseReason | null> {
    return this.#clients.known(connection, channel, intake);
  }

  /** Counts those that are in already, before there is a limit for each client. */
  countClients(): void {
    this.#clients.countAll(this.connections);
  }

  /** Its client may have it: its handler begins. */
  serve(served: Served): void {
    if (served.index === -1 || link(served.connection).closing) return;
    served.stage = 'serving';
    this.#begun += 1;
    const { connection, id } = served;
    this.verbose?.started(served, this.#begun);
    if (startChannel.hasSubscribers) startChannel.publish({ server: this.#server, connection, id });
    this.#emit('connection', connection, id);
    this.#begin(served);
  }

  gone(served: Served, reason: CloseReason): void {
    this.closed += 1;
    const name = reasonName(reason);
    this.reasons[name] = (this.reasons[name] ?? 0) + 1;
    const { connection, id } = served;
    const age = Math.max(0, this.clock.now() - this.began - served.at);
    this.measures.ended(age, connection.bytesRead, connection.bytesWritten);
    this.observer?.closed(connection, name);
    // First, so that the counts add up for whoever is told.
    this.#forget(served, reason);
    if (reason.kind === 'handshake' && reason.error.code === 'ERR_PORTSIDE_PROXY_HEADER')
      this.admission.note(connection.remote, { kind: 'proxy', error: reason.error });
    else if (reason.kind === 'refused' && reason.refusal.kind === 'handshakes-full')
      this.admission.note(connection.remote, reason.refusal as Refusal);
    this.verbose?.closed(served, reason, age);
    this.log?.closed(served, reason, age);
    if (closeChannel.hasSubscribers) closeChannel.publish({ server: this.#server, connection, id, reason });
    this.#emit('close', connection, reason, id);
  }

  /** @param how Why it is over; null: it was given away; `moved`: another worker has it. */
  #forget(served: Served, how: CloseReason | 'moved' | null): void {
    const { connections } = this;
    const last = connections.pop()!;
    if (last !== served) {
      connections[served.index] = last;
      last.index = served.index;
    }
    served.index = -1;
    this.#read += served.connection.bytesRead;
    this.#written += served.connection.bytesWritten;
    if (served.begun) this.#begun -= 1;
    this.#clients.forget(served);
    if (how === 'moved') this.drain?.moved();
    else this.drain?.gone(served, how);
    served.intake.give();
  }

  refused(remote: Address, refusal: Refusal): void {
    this.observer?.refused(refusal);
    this.verbose?.refused(remote, refusal);
    this.log?.refused(remote, refusal);
    if (refusedChannel.hasSubscribers) refusedChannel.publish({ server: this.#server, remote, refusal });
    this.#emit('refused', remote, refusal);
  }

  trouble(error: PortsideError): void {
    this.troubles += 1;
    this.observer?.trouble();
    this.verbose?.note(`accepting met ${error.message}`);
    // A worker's are its parent's to tell, as its errors are.
    if (this.observer === null) this.log?.trouble(error);
    this.#emit('trouble', error);
  }

  /** Watched certificates were read anew, or could not be, and then the old ones go on. */
  reloaded(error: PortsideError | null): void {
    this.verbose?.note(
      error === null ? 'certificates were read anew' : `certificates were not taken up: ${error.message}`,
    );
    if (error === null) this.log?.note('certificates were read anew');
    else this.report(error, undefined);
  }

  // ---- errors ----

  /** A hook that belongs to no connection threw. */
  failed(error: unknown): void {
    this.report(error, undefined);
  }

  /** What a handler threw: its connection is ended, unless it was only how that connection's own end showed itself. */
  readonly fail: Fail = (error, connection, hopeless = false) => {
    const { owner } = link(connection);
    const mayKeep = !hopeless && typeof this.#handler !== 'function';
    const ends = tellFailure(connection, error, () => this.report(error, connection) === 'keep' && mayKeep);
    // One that was given away is its new owner's.
    if (!ends || !(owner instanceof Served) || owner.host !== this) return;
    this.hardClose(connection, { kind: 'aborted', cause: error });
  };

  /** Tells an error to who is there to hear it. */
  report(error: unknown, connection: Connection | undefined): 'keep' | void {
    this.errors += 1;
    this.observer?.failed();
    const { onError } = this.#options;
    const publish = (what: unknown): void => this.#publish(what, connection);
    if (onError === undefined) publish(error);
    else if (callHook(() => onError(error, connection, this.#server), publish) === 'keep') return 'keep';
    return undefined;
  }

  #publish(error: unknown, connection: Connection | undefined): void {
    if (this.observer === null) this.log?.failed(error, { connection, id: idOf(connection) });
    if (handlerErrorChannel.hasSubscribers) handlerErrorChannel.publish({ server: this.#server, connection, error });
    this.#emit('error', error, connection);
  }

  hardClose(connection: Connection, why: CloseReason): void {
    hardClose(connection, why, this.#options.prepareHardClose, (error) => void this.report(error, connection));
  }

  // ---- what users ask for ----

  /** Forgets a connection whole, so that it is the caller's. */
  detach(connection: Connection): void {
    const inside = link(connection);
    const { owner } = inside;
    const detail = inside.detail('detach');
    if (!(owner instanceof Served) || owner.host !== this || !owner.begun)
      throw new PortsideError('ERR_PORTSIDE_STATE', 'the connection is not one that this server serves', detail);
    // Without an async context a function can't be told from another connection's.
    const known = (this.#options.ambient ?? true) || typeof this.#handler !== 'function';
    if (owner.stage === 'returned' || (known && current() !== connection)) {
      throw new PortsideError(
        'ERR_PORTSIDE_STATE',
        'a connection can be detached by its own handler only, while that runs',
        detail,
      );
    }
    if (inside.closing) throw closedError(inside, 'detach');
    inside.owner = null;
    inside.detach();
    this.detached += 1;
    this.observer?.detached(connection);
    this.#forget(owner, null);
    this.verbose?.detached(owner);
    this.log?.detached(owner, Math.max(0, this.clock.now() - this.began - owner.at));
    const { id } = owner;
    if (detachChannel.hasSubscribers) detachChannel.publish({ server: this.#server, connection, id });
    this.#emit('detach', connection, id);
  }

  async handOver(served: Served, worker: number, value: unknown): Promise<void> {
    const { connection } = served;
    const inside = link(connection);
    if (this.wayOut === null) throw noWorker(inside);
    if (served.stage !== 'serving' && !inside.closing) {
      const why = 'a connection can be handed over while its handler serves it only';
      throw new PortsideError('ERR_PORTSIDE_STATE', why, inside.detail('handOver'));
    }
    await this.#moveTo(served, worker, value);
  }

  async #moveTo(served: Served, worker: number, value: unknown): Promise<void> {
    const { connection, intake, id, at } = served;
    const left = (): void => {
      this.handedOver += 1;
      this.observer?.handedOver(connection);
      this.#forget(served, 'moved');
      this.verbose?.handedOver(served, worker);
      this.log?.handedOver(served, age(), worker);
      this.#emit('handOver', connection, worker, id);
    };
    const age = (): number => Math.max(0, this.clock.now() - this.began - at);
    const client = (): string | null => this.#clients.counted(served);
    await this.wayOut!.handOver(connection, worker, value, { intake, age, client, left });
  }

  /** Holds all connections to new deadlines, those that are open too. */
  setDeadlines(intakes: readonly Intake<ServedHost>[], changes: DeadlineOptions): void {
    for (const { listener } of intakes) {
      const { deadlines } = settingsOf(listener);
      Object.assign(deadlines, deadlinesOf(changes, deadlines));
    }
    const now = this.clock.now() - this.began;
    for (const { connection, at } of this.connections) {
      const inside = link(connection);
      inside.watchOver(inside.settings.deadlines, now - at);
    }
  }

  /** Bytes of all connections, those too that are over. */
  bytes(): { readonly bytesRead: number; readonly bytesWritten: number } {
    let [bytesRead, bytesWritten] = [this.#read, this.#written];
    for (const { connection } of this.connections) {
      bytesRead += connection.bytesRead;
      bytesWritten += connection.bytesWritten;
    }
    return { bytesRead, bytesWritten };
  }

  /** Ends connections by their numbers, and gives how many of them there were. */
  end(ids: readonly number[], how: EndByHand): number {
    const wanted = new Set(ids);
    const found = this.connections.filter(({ id }) => wanted.has(id));
    const ends = ({ connection, begun }: Served): boolean =>
      endByHand(connection, how, begun, (why) => this.hardClose(connection, why));
    return found.filter(ends).length;
  }

  /** Lets a connection's handler know that the server comes to its end. */
  tell({ connection }: Served): void {
    tellDraining(this.#handler, connection, this.fail);
  }

  list(): ConnectionStatus[] {
    const now = this.clock.now() - this.began;
    return this.connections
      .toSorted((a, b) => a.id - b.id)
      .map(({ id, connection, at, begun }) => connectionStatus(connection, id, now - at, begun));
  }
}

/** The number of a connection that a server has; undefined for others. */
function idOf(connection: Connection | undefined): number | undefined {
  const owner = connection === undefined ? null : link(connection).owner;
  return owner instanceof Served ? owner.id : undefined;
}

import { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { deadlinesOf } from '../net/deadlines.ts';
import type { DeadlineOptions } from '../net/deadlines.ts';
import { isIdle } from '../net/idle.ts';
import { closedError } from '../net/link-errors.ts';
import { settingsOf } from '../net/listener.ts';
import { HANDSHAKE_TIMEOUT } from '../net/opening.ts';
import { effectiveRemote } from '../net/proxy-in.ts';
import type { Clock } from '../sync/clock.ts';
import { currentScope } from '../sync/scope.ts';
import type { Scope } from '../sync/scope.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import { Admission } from './admission.ts';
import type { AdmissionHost } from './admission.ts';
import { current, enterNobody, leave } from './ambient.ts';
import { closeChannel, detachChannel, handlerErrorChannel, refusedChannel, startChannel } from './channels.ts';
import { dispatchOf, tellDraining } from './dispatch.ts';
import { isThenable } from './protocol-consumer.ts';
import type { Fail } from './protocol-consumer.ts';
import type { Begin } from './dispatch.ts';
import type { Drain } from './drain.ts';
import type { Handler } from './handler.ts';
import { hardClose, tellFailure } from './hard-close.ts';
import type { Intake, IntakeHost } from './intake.ts';
import type { ServerOptions } from './options.ts';
import type { Refusal } from './refusal.ts';
import { Served } from './served.ts';
import type { Book } from './served.ts';
import type { ServerEvents } from './events.ts';
import type { Server } from './server.ts';
import { reasonName } from './status.ts';
import type { ConnectionStatus } from './status.ts';
import { Verbose } from './verbose.ts';

/** How a server tells what happens to those who listen. */
export type Emit = <K extends keyof ServerEvents>(name: K, ...args: ServerEvents[K]) => void;

/** A server's connections: from the accept to the end, with everything that is counted. */
export class Service implements IntakeHost, AdmissionHost, Book {
  readonly admission: Admission;
  readonly verbose: Verbose | null;
  readonly connections: Served[] = [];
  accepted = 0;
  closed = 0;
  detached = 0;
  errors = 0;
  troubles = 0;
  /** How connections ended, by reason. */
  readonly reasons: Record<string, number> = {};
  /** The server's end, once it has begun. */
  drain: Drain | null = null;
  /** When the server began, by the clock. */
  began = 0;
  readonly scope: Scope | undefined = currentScope();
  readonly clock: Clock;
  readonly #server: Server;
  readonly #handler: Handler;
  readonly #options: ServerOptions;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #begin: Begin;
  /** Open connections whose handlers have begun. */
  #begun = 0;

  constructor(server: Server, handler: Handler, options: ServerOptions, clock: Clock, emit: Emit) {
    this.#server = server;
    this.#handler = handler;
    this.#options = options;
    this.#clock = this.clock = clock;
    this.#emit = emit;
    const { verbose = false, log } = options;
    this.verbose =
      verbose === false || log === undefined ? null : new Verbose(verbose, log, (error) => this.failed(error));
    this.admission = new Admission(options, clock, this);
    this.#begin = dispatchOf(handler, server, options.ambient ?? true, this.fail);
  }

  get opening(): number {
    return this.connections.length - this.#begun;
  }

  // ---- a connection's way ----

  /** It has its permits, and is served when its handshakes are over and its client may have one more. */
  accept(connection: Connection, intake: Intake): void {
    this.accepted += 1;
    const served = new Served(this, intake, connection, this.accepted, Math.ceil(this.#clock.now() - this.began));
    served.index = this.connections.push(served) - 1;
    const inside = link(connection);
    inside.owner = served;
    this.verbose?.accepted(served);
    if (inside.reason !== null) this.gone(served, inside.reason);
    else if (intake.opening !== null) void this.#whenOpened(served);
    else this.#countThenServe(served);
  }

  async #whenOpened(served: Served): Promise<void> {
    try {
      await served.connection.opened;
    } catch {
      // The connection's reason tells it.
      return;
    }
    // It came before clients were counted one by one, or was counted by who it turned out to be.
    if (served.client === null) this.#countThenServe(served);
    else this.#serve(served);
  }

  #countThenServe(served: Served): void {
    const client = this.admission.countsClients ? this.#clientOf(served) : null;
    if (client === null) {
      this.#serve(served);
      return;
    }
    const may = this.admission.permits.takeFor(client);
    if (typeof may === 'boolean') this.#decide(served, client, may);
    else void this.#whenGranted(served, client, may);
  }

  #decide(served: Served, client: string, granted: boolean): void {
    if (!granted) this.#refuse(served, client, link(served.connection).channel);
    else if (this.#keep(served, client)) this.#serve(served);
  }

  /** The store of permits is elsewhere. Until it answers nothing is read. */
  async #whenGranted(served: Served, client: string, may: Promise<boolean>): Promise<void> {
    const inside = link(served.connection);
    const late = this.#clock.after(HANDSHAKE_TIMEOUT, () => inside.miss('handshake', HANDSHAKE_TIMEOUT));
    // An end that comes first is not to wait for the store.
    inside.onClose(() => late.cancel());
    try {
      this.#decide(served, client, await may);
    } catch (error) {
      this.failed(error);
      inside.destroy('reset', { kind: 'aborted', cause: error });
    } finally {
      late.cancel();
    }
  }

  /** Who is counted for a connection: null when a proxy speaks for itself. */
  #clientOf({ connection, intake }: Served): string | null {
    const proxy = intake.opening === null ? null : connection.proxy;
    return proxy !== null && effectiveRemote(proxy) === null ? null : this.admission.clientOf(connection.remote);
  }

  /** Notes the client's permit, or gives it back when the connection is over already. */
  #keep(served: Served, client: string): boolean {
    if (served.index === -1) {
      this.admission.permits.giveFor(client);
      return false;
    }
    served.client = client;
    return true;
  }

  /** Counts those that are in already, before there is a limit for each client. They stay, however many they are. */
  countClients(): void {
    for (const served of this.connections) {
      if (served.client !== null || !served.begun) continue;
      const client = this.#clientOf(served);
      if (client === null) continue;
      const counted = this.admission.permits.takeFor(client);
      if (counted === true) served.client = client;
      else if (counted !== false) {
        counted.then(
          (granted) => granted && this.#keep(served, client),
          (error: unknown) => this.failed(error),
        );
      }
    }
  }

  /** Stage two, on the plain way: the client has all it may have. */
  #refuse(served: Served, client: string, channel: Channel): void {
    const inside = link(served.connection);
    if (inside.closing) return;
    const refusal: Refusal = { kind: 'client-full', client, limit: this.admission.permits.perClient };
    const { remote } = inside;
    inside.giveUp({ kind: 'refused', refusal });
    this.admission.refuse(channel, refusal, remote, true);
  }

  /** Stage two, between the PROXY header and TLS: the client is known. */
  async known(connection: Connection, channel: Channel, intake: Intake): Promise<CloseReason | null> {
    const served = link(connection).owner;
    if (!(served instanceof Served)) return null;
    const client = this.#clientOf(served);
    if (client === null) return null;
    const { remote } = connection;
    // Anybody else was looked at by its socket.
    const screened = intake.passesOn(channel.remote) ? this.admission.screen(remote) : null;
    let refusal: Refusal | null;
    try {
      refusal = screened ?? (await this.#clientFull(served, client));
    } catch (error) {
      this.failed(error);
      channel.destroy('reset');
      return { kind: 'aborted', cause: error };
    }
    if (refusal === null) return null;
    this.admission.refuse(channel, refusal, remote, intake.opening === null || !intake.opening.atOnce);
    return { kind: 'refused', refusal };
  }

  async #clientFull(served: Served, client: string): Promise<Refusal | null> {
    if (!this.admission.countsClients) return null;
    const { permits } = this.admission;
    const granted = await permits.takeFor(client);
    if (granted) this.#keep(served, client);
    return granted || link(served.connection).closing
      ? null
      : { kind: 'client-full', client, limit: permits.perClient };
  }

  #serve(served: Served): void {
    if (served.index === -1 || link(served.connection).closing) return;
    served.begun = true;
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
    // First, so that the counts add up for whoever is told.
    this.#forget(served, reason);
    if (reason.kind === 'handshake' && reason.error.code === 'ERR_PORTSIDE_PROXY_HEADER')
      this.admission.note(connection.remote, { kind: 'proxy', error: reason.error });
    else if (reason.kind === 'refused' && reason.refusal.kind === 'handshakes-full')
      this.admission.note(connection.remote, reason.refusal as Refusal);
    this.verbose?.closed(served, reason, Math.max(0, this.#clock.now() - this.began - served.at));
    if (closeChannel.hasSubscribers) closeChannel.publish({ server: this.#server, connection, id, reason });
    this.#emit('close', connection, reason, id);
  }

  #forget(served: Served, reason: CloseReason | null): void {
    const { connections } = this;
    const last = connections.pop()!;
    if (last !== served) {
      connections[served.index] = last;
      last.index = served.index;
    }
    served.index = -1;
    if (served.begun) this.#begun -= 1;
    if (served.client !== null) this.admission.permits.giveFor(served.client);
    this.drain?.gone(served, reason);
    served.intake.give();
  }
  refused(remote: Address, refusal: Refusal): void {
    this.verbose?.refused(remote, refusal);
    if (refusedChannel.hasSubscribers) refusedChannel.publish({ server: this.#server, remote, refusal });
    this.#emit('refused', remote, refusal);
  }

  trouble(error: PortsideError): void {
    this.troubles += 1;
    this.verbose?.note(`accepting met ${error.message}`);
    this.#emit('trouble', error);
  }

  /** Watched certificates were read anew, or could not be, and then the old ones go on. */
  reloaded(error: PortsideError | null): void {
    this.verbose?.note(
      error === null ? 'certificates were read anew' : `certificates were not taken up: ${error.message}`,
    );
    if (error !== null) this.report(error, undefined);
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
    if (!ends || !(owner instanceof Served) || owner.book !== this) return;
    this.#hardClose(connection, { kind: 'aborted', cause: error });
  };

  /** Tells an error to who is there to hear it. */
  report(error: unknown, connection: Connection | undefined): 'keep' | void {
    this.errors += 1;
    const { onError } = this.#options;
    if (onError === undefined) {
      this.#publish(error, connection);
      return undefined;
    }
    // What it prints is not for the client.
    const before = enterNobody();
    try {
      const answer: unknown = onError(error, connection, this.#server);
      if (isThenable(answer)) answer.then(undefined, (again: unknown) => this.#publish(again, connection));
      return answer === 'keep' ? 'keep' : undefined;
    } catch (again) {
      this.#publish(again, connection);
      return undefined;
    } finally {
      leave(before);
    }
  }

  #publish(error: unknown, connection: Connection | undefined): void {
    if (handlerErrorChannel.hasSubscribers) handlerErrorChannel.publish({ server: this.#server, connection, error });
    this.#emit('error', error, connection);
  }

  hardClose(served: Served, why: CloseReason): void {
    this.#hardClose(served.connection, why);
  }

  #hardClose(connection: Connection, why: CloseReason): void {
    hardClose(connection, why, this.#options.prepareHardClose, (error) => void this.report(error, connection));
  }

  // ---- what users ask for ----

  /** Forgets a connection whole, so that it is the caller's. */
  detach(connection: Connection): void {
    const inside = link(connection);
    const { owner } = inside;
    const detail = inside.detail('detach');
    if (!(owner instanceof Served) || owner.book !== this || !owner.begun)
      throw new PortsideError('ERR_PORTSIDE_STATE', 'the connection is not one that this server serves', detail);
    // Without an async context a function can't be told from another connection's.
    const known = (this.#options.ambient ?? true) || typeof this.#handler !== 'function';
    if (owner.returned || (known && current() !== connection)) {
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
    this.#forget(owner, null);
    this.verbose?.detached(owner);
    const { id } = owner;
    if (detachChannel.hasSubscribers) detachChannel.publish({ server: this.#server, connection, id });
    this.#emit('detach', connection, id);
  }

  /** Holds all connections to new deadlines, those that are open too. */
  setDeadlines(intakes: readonly Intake[], changes: DeadlineOptions): void {
    for (const { listener } of intakes) {
      const { deadlines } = settingsOf(listener);
      Object.assign(deadlines, deadlinesOf(changes, deadlines));
    }
    const now = this.#clock.now() - this.began;
    for (const { connection, at } of this.connections) {
      const inside = link(connection);
      inside.watchOver(inside.settings.deadlines, now - at);
    }
  }

  /** Lets a connection's handler know that the server comes to its end. */
  tell({ connection }: Served): void {
    tellDraining(this.#handler, connection, this.fail);
  }

  list(): ConnectionStatus[] {
    const now = this.#clock.now() - this.began;
    return this.connections
      .toSorted((a, b) => a.id - b.id)
      .map(({ id, connection, at, begun }) => {
        const inside = link(connection);
        const doing = inside.closing ? 'closing' : !begun ? 'opening' : isIdle(inside) ? 'idle' : 'busy';
        const { remote, bytesRead, bytesWritten, queuedBytes } = connection;
        return { id, remote, age: Math.max(0, now - at), doing, bytesRead, bytesWritten, queued: queuedBytes };
      });
  }
}

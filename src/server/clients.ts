import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { HANDSHAKE_TIMEOUT } from '../net/opening.ts';
import { effectiveRemote } from '../net/proxy-in.ts';
import type { Clock } from '../sync/clock.ts';
import type { Channel } from '../transport/contract.ts';
import type { Admission } from './admission.ts';
import type { Intake } from './intake.ts';
import type { Refusal } from './refusal.ts';
import { Served } from './served.ts';

/** Who goes on with connections that may come in. */
export interface ClientsHost {
  serve(served: Served): void;
  /** The store of permits failed. */
  failed(error: unknown): void;
}

/** The second stage of admission, which begins when the client is known: no client has more connections than it may. */
export class Clients {
  readonly #admission: Admission;
  readonly #clock: Clock;
  readonly #host: ClientsHost;
  /** Under which client each connection is counted. Here, as most servers count nobody and have very many connections. */
  readonly #counted = new Map<Served, string>();

  constructor(admission: Admission, clock: Clock, host: ClientsHost) {
    this.#admission = admission;
    this.#clock = clock;
    this.#host = host;
  }

  /** Its handshakes are over: it is counted, unless it was by {@link Clients.known}, and served or refused. */
  admit(served: Served): void {
    const client = this.#admission.countsClients && !this.#counted.has(served) ? this.#clientOf(served) : null;
    if (client === null) {
      this.#host.serve(served);
      return;
    }
    const may = this.#admission.permits.takeFor(client);
    if (typeof may === 'boolean') this.#decide(served, client, may);
    else void this.#whenGranted(served, client, may);
  }

  /** Between the PROXY header and TLS: the client is known. Why it must not come in, or null. */
  async known(connection: Connection, channel: Channel, intake: Intake): Promise<CloseReason | null> {
    const served = link(connection).owner;
    if (!(served instanceof Served)) return null;
    const client = this.#clientOf(served);
    if (client === null) return null;
    const { remote } = connection;
    // Anybody else was looked at by its socket.
    const screened = intake.passesOn(channel.remote) ? this.#admission.screen(remote) : null;
    let refusal: Refusal | null;
    try {
      refusal = screened ?? (await this.#full(served, client));
    } catch (error) {
      this.#host.failed(error);
      channel.destroy('reset');
      return { kind: 'aborted', cause: error };
    }
    if (refusal === null) return null;
    this.#admission.refuse(channel, refusal, remote, intake.clear);
    return { kind: 'refused', refusal };
  }

  /** Counts those that are in already, before there is a limit for each client. They stay, however many they are. */
  countAll(connections: readonly Served[]): void {
    for (const served of connections) {
      if (this.#counted.has(served) || !served.begun) continue;
      const client = this.#clientOf(served);
      if (client === null) continue;
      const counted = this.#admission.permits.takeFor(client);
      if (counted === true) this.#counted.set(served, client);
      else if (counted !== false) {
        counted.then(
          (granted) => granted && this.#keep(served, client),
          (error: unknown) => this.#host.failed(error),
        );
      }
    }
  }

  /** It comes from another worker, and was counted there. */
  arrived(served: Served, client: string | null): void {
    if (client !== null) this.#counted.set(served, client);
  }

  /** Under which client it is counted; null where it is not. */
  counted(served: Served): string | null {
    return this.#counted.get(served) ?? null;
  }

  /** The server has it no more. */
  forget(served: Served): void {
    const client = this.#counted.get(served);
    if (client === undefined) return;
    this.#counted.delete(served);
    this.#admission.permits.giveFor(client);
  }

  /** Who is counted for a connection: null when a proxy speaks for itself. */
  #clientOf({ connection, intake }: Served): string | null {
    const proxy = intake.opening === null ? null : connection.proxy;
    return proxy !== null && effectiveRemote(proxy) === null ? null : this.#admission.clientOf(connection.remote);
  }

  #decide(served: Served, client: string, granted: boolean): void {
    if (granted) {
      if (this.#keep(served, client)) this.#host.serve(served);
      return;
    }
    const inside = link(served.connection);
    if (inside.closing) return;
    const { channel, remote } = inside;
    const refusal = this.#refusal(client);
    inside.giveUp({ kind: 'refused', refusal });
    this.#admission.refuse(channel, refusal, remote, true);
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
      this.#host.failed(error);
      inside.destroy('reset', { kind: 'aborted', cause: error });
    } finally {
      late.cancel();
    }
  }

  async #full(served: Served, client: string): Promise<Refusal | null> {
    if (!this.#admission.countsClients) return null;
    const granted = await this.#admission.permits.takeFor(client);
    if (granted) this.#keep(served, client);
    return granted || link(served.connection).closing ? null : this.#refusal(client);
  }

  /** Notes the client's permit, or gives it back when the connection is over already. */
  #keep(served: Served, client: string): boolean {
    if (served.index === -1) {
      this.#admission.permits.giveFor(client);
      return false;
    }
    this.#counted.set(served, client);
    return true;
  }

  #refusal(client: string): Refusal {
    return { kind: 'client-full', client, limit: this.#admission.permits.perClient };
  }
}

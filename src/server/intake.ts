import { AsyncResource } from 'node:async_hooks';
import type { PortsideError } from '../base/errors.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Feed, Feeder, Listener } from '../net/listener.ts';
import { feedOf, settingsOf } from '../net/listener.ts';
import type { OpeningSettings } from '../net/opening.ts';
import type { Clock, TimerHandle } from '../sync/clock.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import type { Admission } from './admission.ts';
import type { PermitStore } from './permits.ts';
import type { Refusal } from './refusal.ts';

/** Connections that are taken in one go, before others get their turn. */
const BURST = 64;

/** Who gets what an intake lets in. */
export interface IntakeHost {
  readonly clock: Clock;
  /** A client came and has its permits, which are given back by {@link Intake.give}. */
  take(channel: Channel, intake: Intake): void;
  /** Its handshakes got as far as who it is: why it must not come in, or null. */
  known(connection: Connection, channel: Channel, intake: Intake): CloseReason | null | Promise<CloseReason | null>;
  /** Something stands in the way of accepting. */
  trouble(error: PortsideError): void;
}

/**
 * Takes connections from one listener, and none without a permit: while the server is full, clients wait where the backlog is, or are
 * refused when `whenFull` says so.
 */
export class Intake<Host extends IntakeHost = IntakeHost> implements Feeder {
  readonly listener: Listener;
  readonly host: Host;
  /** What connections of this endpoint begin with, beyond being accepted; null when that is nothing. */
  readonly opening: OpeningSettings | null;
  readonly #feed: Feed;
  readonly #admission: Admission;
  /** This endpoint's own limit; null when it has none. */
  readonly #own: PermitStore | null;
  readonly #home = new AsyncResource('PORTSIDE_SERVER');
  #open = false;
  /** The host has no room for a while. */
  #held = false;
  /** Takes the waiting for a permit back. */
  #waits: (() => void) | null = null;
  /** Until the first that waits is refused. */
  #patience: TimerHandle | null = null;
  /** Since when it waits, by the clock; null when nobody does who is to be refused. */
  #since: number | null = null;

  constructor(listener: Listener, admission: Admission, own: PermitStore | null, host: Host) {
    this.listener = listener;
    this.#admission = admission;
    this.#own = own;
    this.host = host;
    this.#feed = feedOf(listener, this);
    const { opening } = settingsOf(listener);
    this.opening = opening !== null && (opening.atOnce || opening.proxy !== null) ? opening : null;
    if (opening !== null) opening.admit = (connection, channel) => host.known(connection, channel, this);
  }

  /** Begins to accept. */
  open(): void {
    this.#open = true;
    this.#feed.want(true);
  }

  /** Accepts no more. */
  close(): void {
    this.#open = false;
    this.#rest();
    this.#feed.want(false);
  }

  /** Takes nobody until {@link Intake.again}; for a host that has no room. */
  hold(): void {
    this.#held = true;
    this.#rest();
    this.#feed.want(false);
  }

  /** Looks again: there is room, or limits or the way of refusing may have changed. Who waits has waited so long already. */
  again(): void {
    this.#held = false;
    if (!this.#open) return;
    const since = this.#since;
    this.#rest();
    this.#since = since;
    this.#feed.want(true);
    this.ready();
  }

  /** Gives the permits of a connection back. */
  give(): void {
    this.#admission.permits.give();
    this.#own?.give();
  }

  trouble(error: PortsideError): void {
    this.host.trouble(error);
  }

  ready(): void {
    // Handlers begin where the server was started, and not where a client was let go, or in the client's own scope.
    this.#home.runInAsyncScope(this.#takeMany);
  }

  readonly #takeMany = (): void => {
    for (let count = 0; count < BURST; count += 1) {
      if (!this.#open || this.#held) return;
      if (!this.#permit()) {
        this.#full();
        return;
      }
      if (!this.#admitNext()) return;
    }
  };

  /** Lets the next in, for whom there is a permit; false when nobody is there, and then the permit is back. */
  #admitNext(): boolean {
    const channel = this.#feed.take();
    this.#stopPatience();
    if (channel === null) {
      this.give();
      return false;
    }
    // The peer's address costs a system call or memory, so it is asked for only where somebody looks at it.
    const comes = this.#admission.screens && (channel.letter ?? null) === null;
    const refusal = comes ? this.#screen(channel.remote) : null;
    if (refusal === null) this.host.take(channel, this);
    else {
      this.give();
      this.#admission.refuse(channel, refusal, channel.remote, this.clear);
    }
    return true;
  }

  /** Who passes on others is not the client; that one is looked at when it is known. */
  #screen(remote: Address): Refusal | null {
    return this.passesOn(remote) ? null : this.#admission.screen(remote);
  }

  /** Makes the connection of a client that was taken; null when it can't be any more, and then it is ended, refused and its permits are back. */
  connect(channel: Channel): Connection | null {
    try {
      return this.#feed.open(channel);
    } catch {
      // Its scope is being closed, and the channel was ended; the listener will be.
      this.give();
      this.#admission.note(channel.remote, { kind: 'stopping' });
      return null;
    }
  }

  /** Whether a peer is one of the proxies whose word is taken. */
  passesOn(remote: Address): boolean {
    return this.opening !== null && this.opening.proxy !== null && this.opening.proxy.from.hasAddress(remote);
  }

  /** Whether what is sent before any handshake is understood. */
  get clear(): boolean {
    return this.opening === null || !this.opening.atOnce;
  }

  #permit(): boolean {
    if (this.#own !== null && !this.#own.take()) return false;
    if (this.#admission.permits.take()) return true;
    this.#own?.give();
    return false;
  }

  /** Whose permits are all out: the endpoint's own, or the server's. */
  get #scarce(): PermitStore {
    const own = this.#own;
    return own !== null && own.used >= own.limit ? own : this.#admission.permits;
  }

  #full(): void {
    const { patience } = this.#admission;
    if (patience === 0) {
      for (let count = 0; count < BURST; count += 1) if (!this.#refuseOne()) break;
      // Only a client that is there can be refused, so it goes on being told of them.
      this.#waitForPermit();
      return;
    }
    this.#waitForPermit();
    if (patience === Infinity) {
      this.#feed.want(false);
      return;
    }
    if (this.#patience === null && !this.#feed.pending()) {
      this.#since = null;
      return;
    }
    this.#feed.want(false);
    if (this.#patience !== null) return;
    const now = this.host.clock.now();
    this.#since ??= now;
    this.#patience = this.host.clock.after(Math.max(0, this.#since + patience - now), () => this.#lastLook());
  }

  /** The first that waits has waited for long enough. */
  #lastLook(): void {
    this.#patience = this.#since = null;
    if (!this.#open || this.#held) return;
    this.#feed.want(true);
    // A place may have become free in this very moment.
    if (this.#permit()) this.#admitNext();
    else this.#refuseOne();
  }

  #refuseOne(): boolean {
    const channel = this.#feed.take();
    if (channel === null) return false;
    const { remote } = channel;
    const { limit } = this.#scarce;
    this.#admission.refuse(channel, this.#screen(remote) ?? { kind: 'full', limit }, remote, this.clear);
    return true;
  }

  /** Is woken once there may be a permit. */
  #waitForPermit(): void {
    if (this.#waits !== null) return;
    this.#waits = this.#scarce.wait(() => {
      this.#waits = null;
      if (!this.#open || this.#held) return;
      this.#feed.want(true);
      this.ready();
    });
  }

  #stopPatience(): void {
    this.#since = null;
    if (this.#patience === null) return;
    this.#patience.cancel();
    this.#patience = null;
    this.#feed.want(true);
  }

  #rest(): void {
    this.#waits?.();
    this.#waits = null;
    this.#patience?.cancel();
    this.#patience = this.#since = null;
  }
}

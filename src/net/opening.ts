import { PortsideError, isPortsideError } from '../base/errors.ts';
import { Deadline } from '../sync/deadline.ts';
import { Semaphore } from '../sync/semaphore.ts';
import type { Permit } from '../sync/semaphore.ts';
import type { Channel } from '../transport/contract.ts';
import type { TlsServerContext } from '../transport/tls/context.ts';
import { secureClient, secureServer } from '../transport/tls/handshake.ts';
import type { SecureChannel } from '../transport/tls/handshake.ts';
import type { TlsClientOptions } from '../transport/tls/client.ts';
import type { CloseReason, Refused } from './close-reason.ts';
import type { Connection } from './connection.ts';
import { deferred } from './deferred.ts';
import type { Deferred } from './deferred.ts';
import { closedError } from './link-errors.ts';
import type { Link } from './link.ts';
import { effectiveRemote, readProxyHeader } from './proxy-in.ts';
import type { ProxyIn } from './proxy-in.ts';
import { StandIn } from './stand-in.ts';

/** What has to be done on the connections of a listener before their bytes are their own. One object for all of them. */
export interface OpeningSettings {
  readonly proxy: ProxyIn | null;
  /** For TLS at once, or for `upgradeTls` later. */
  readonly tls: TlsServerContext | null;
  /** Whether the connection begins with the handshake of TLS. */
  readonly atOnce: boolean;
  /** Asked when the peer is known, before TLS: null, or why it is not let in; then whoever said so ends the channel. Set by a server. */
  admit: ((connection: Connection, channel: Channel) => CloseReason | null | Promise<CloseReason | null>) | null;
}

/** Who TLS is begun with. */
export type TlsStart =
  | { readonly role: 'server'; readonly context: TlsServerContext }
  | { readonly role: 'client'; readonly options: TlsClientOptions; readonly host: string | undefined };

/** How long a handshake may take when nothing says so, in milliseconds; and a server to say who comes in. */
export const HANDSHAKE_TIMEOUT = 10_000;

/** Handshakes that may wait for their turn: more than there may be connections. */
const MOST_WAITING = 1_000_000;

const turns = new WeakMap<TlsServerContext, Semaphore>();

/** Lets as many handshakes by one context be under way at a time as it says, whatever listeners they come from. */
function turnsOf(context: TlsServerContext): Semaphore {
  const most = context.maxHandshakes;
  let semaphore = turns.get(context);
  if (semaphore === undefined) {
    semaphore = new Semaphore(most, { maxWaiting: MOST_WAITING });
    turns.set(context, semaphore);
  } else if (semaphore.size !== most) semaphore.resize(most);
  return semaphore;
}

/** The handshakes of one connection, under way. Its `done` resolves when they are over, and rejects with why they failed; nobody has to look. */
export class Opening {
  readonly done: Promise<void>;
  readonly #link: Link;
  readonly #standIn: StandIn;
  readonly #settled: Deferred<void> = deferred();
  readonly #deadline: Deadline;
  readonly #drained: Promise<void>;
  #limit = Infinity;
  #channel: Channel;
  #step: { cancel(how: 'drop' | 'reset'): void } | null = null;
  #rest: readonly Uint8Array[] = [];
  #ended = false;
  /** Its channel is somebody else's to end. */
  #refused = false;
  /** How it was ended. */
  #how: 'drop' | 'reset' = 'drop';
  /** What this side did wrong; nobody else can be told of it. */
  #mistake: unknown = null;
  /** Where it waits for its turn to shake hands. */
  #queue: Semaphore | null = null;
  #leave: AbortController | null = null;

  constructor(link: Link, steps: (opening: Opening) => Promise<void>) {
    const { channel } = link;
    this.#link = link;
    this.#channel = channel;
    this.done = this.#settled.promise;
    this.#deadline = new Deadline(link.clock, () => this.#late());
    this.#standIn = new StandIn(channel);
    this.#standIn.onGone = (how) => this.#gone(how);
    channel.flow(false);
    channel.sink = this.#standIn;
    link.life.opening = this;
    link.replace(this.#standIn);
    this.#drained = this.#standIn.drained();
    // Those who wait were promised an answer by the channel before.
    if (link.life.outlet?.waits === true) this.#standIn.wantWritable();
    void this.#run(steps);
  }

  /** What follows has to be done in so many milliseconds. */
  within(ms: number): void {
    if (this.#standIn.closed) return;
    this.#limit = ms;
    this.#deadline.arm(ms);
  }

  /** Reads the PROXY header, from which the peer is known. It has a deadline of its own. */
  async readProxy(proxy: ProxyIn): Promise<void> {
    if (this.#standIn.closed) return;
    const reading = readProxyHeader(this.#channel, proxy, this.#link.clock);
    this.#step = reading;
    this.#limit = proxy.timeout;
    const { header, rest, ended } = await reading.result;
    this.#pause();
    this.#rest = rest;
    this.#ended = ended;
    if (header === null) return;
    this.#link.life.proxy = header;
    this.#link.life.remote = effectiveRemote(header);
  }

  /** Asks whether the peer is let in. */
  async ask(admit: NonNullable<OpeningSettings['admit']>): Promise<void> {
    if (this.#standIn.closed) return;
    this.within(HANDSHAKE_TIMEOUT);
    const reason = await admit(this.#link.connection, this.#channel);
    if (reason === null) return;
    this.#refused = true;
    this.#fail(reason);
  }

  /** Resolves when what was written before is with the kernel, or it is over. */
  get drained(): Promise<void> {
    return this.#drained;
  }

  /** Gets ready what is this side's own: when that fails, it is nobody else's doing. */
  async prepare<T>(work: T | Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.#mistake = error;
      throw error;
    }
  }

  /** Shakes hands. */
  async secure(start: TlsStart): Promise<void> {
    if (this.#standIn.closed) return;
    if (this.#ended) {
      throw new PortsideError(
        'ERR_PORTSIDE_UNEXPECTED_END',
        'the peer ended the connection before TLS was begun',
        this.#link.detail('tls'),
      );
    }
    const permit = start.role === 'server' ? await this.#turn(turnsOf(start.context)) : null;
    try {
      if (this.#standIn.closed) return;
      await this.#shake(start);
    } finally {
      permit?.release();
    }
  }

  async #shake(start: TlsStart): Promise<void> {
    const early = this.#rest;
    this.#rest = [];
    const handshake =
      start.role === 'server'
        ? secureServer(this.#channel, start.context, early)
        : secureClient(this.#channel, start.options, start.host, early);
    this.#step = handshake;
    let secure: SecureChannel;
    try {
      secure = await handshake.result;
    } catch (error) {
      if (isPortsideError(error) && OURS.has(error.code)) this.#mistake = error;
      throw error;
    }
    this.#channel = secure;
    // It may have been ended in the very turn.
    if (this.#standIn.closed) secure.destroy(this.#how);
    else this.#pause();
  }

  /** Waits for its turn. A permit that comes too late is given back by who asked. */
  async #turn(semaphore: Semaphore): Promise<Permit> {
    const permit = semaphore.tryAcquire();
    if (permit !== null) return permit;
    this.#queue = semaphore;
    this.#leave = new AbortController();
    try {
      return await semaphore.acquire({ signal: this.#leave.signal });
    } finally {
      this.#queue = null;
      this.#leave = null;
    }
  }

  async #run(steps: (opening: Opening) => Promise<void>): Promise<void> {
    try {
      // Whoever accepts it gets to know it first.
      await Promise.resolve();
      await steps(this);
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (this.#standIn.closed) return;
    this.#stop();
    const link = this.#link;
    this.#standIn.openTo(this.#channel, (channel) => link.replace(channel));
    for (const bytes of this.#rest) link.data(bytes, false);
    if (this.#ended) link.end();
    link.openedNow();
    link.mayRest();
    this.#settled.resolve();
  }

  /** Nobody has the channel for the moment. */
  #pause(): void {
    this.#step = null;
    this.#channel.sink = this.#standIn;
  }

  #stop(): void {
    this.#deadline.disarm();
    this.#link.life.opening = null;
  }

  #late(): void {
    const queue = this.#queue;
    if (queue === null) this.#fail({ kind: 'timeout', deadline: 'handshake', after: this.#limit });
    else this.#fail({ kind: 'refused', refusal: { kind: 'handshakes-full', limit: queue.size } as Refused });
  }

  #failed(error: unknown): void {
    if (this.#mistake !== null) this.#fail({ kind: 'aborted', cause: error });
    else if (isPortsideError(error) && error.code === 'ERR_PORTSIDE_TIMEOUT') this.#late();
    else this.#fail(reasonOf(error));
  }

  #fail(reason: CloseReason): void {
    if (this.#standIn.closed) return;
    this.#link.life.why ??= reason;
    this.#link.destroy(reason.kind === 'timeout' || reason.kind === 'refused' ? 'drop' : 'reset', null);
  }

  /** The connection is ended from above, or over by itself. */
  #gone(how: 'drop' | 'reset' | null): void {
    const step = this.#step;
    const link = this.#link;
    this.#step = null;
    this.#rest = [];
    this.#how = how ?? 'drop';
    this.#stop();
    link.life.unopened = true;
    this.#leave?.abort();
    step?.cancel(this.#how);
    if (how !== null && !this.#refused) this.#channel.destroy(how);
    link.onClose(() => this.#settled.reject(this.#mistake ?? closedError(link, 'open')));
  }
}

/** What a handshake fails with when the options are wrong. */
const OURS: ReadonlySet<string> = new Set(['ERR_PORTSIDE_OPTIONS', 'ERR_PORTSIDE_CERTIFICATE']);

function reasonOf(error: unknown): CloseReason {
  if (isPortsideError(error)) {
    if (error.code.startsWith('ERR_PORTSIDE_')) return { kind: 'handshake', error };
    return error.code === 'ECONNRESET' || error.code === 'EPIPE' ? { kind: 'reset', error } : { kind: 'failed', error };
  }
  // What only a mistake of ours can bring about must not be lost, nor end the process.
  return {
    kind: 'handshake',
    error: new PortsideError('ERR_PORTSIDE_TLS', 'the handshakes failed', { op: 'open', cause: error }),
  };
}

/** Begins the handshakes of a connection that was accepted; null when it needs none. */
export function openingOf(link: Link, settings: OpeningSettings): Opening | null {
  const { proxy, tls, atOnce, admit } = settings;
  if (proxy === null && !atOnce) return null;
  return new Opening(link, async (opening) => {
    if (proxy !== null) await opening.readProxy(proxy);
    if (admit !== null) await opening.ask(admit);
    if (!atOnce || tls === null) return;
    opening.within(tls.handshakeTimeout);
    await opening.secure({ role: 'server', context: tls });
  });
}

/** Begins TLS on a connection that is open. What is written from now on waits, and is sent under it. */
export function upgrade(link: Link, start: TlsStart | (() => Promise<TlsStart>), timeout: number): Opening {
  return new Opening(link, async (opening) => {
    opening.within(timeout);
    const ready = typeof start === 'function' ? await opening.prepare(start()) : start;
    await opening.drained;
    await opening.secure(ready);
  });
}

/** Resolves when the handshakes of a connection are over; at once when it has none. */
export function openedOf(link: Link): Promise<void> {
  const { opening, unopened } = link.life;
  if (opening !== null) return opening.done;
  if (!unopened) return Promise.resolve();
  const refused = deferred<void>();
  refused.reject(closedError(link, 'open'));
  return refused.promise;
}

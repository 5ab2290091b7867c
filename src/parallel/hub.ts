import { checkValue, string } from '../base/options.ts';
import { PortsideError } from '../base/errors.ts';
import { rethrowSoon } from '../sync/rethrow.ts';
import { cloned } from './clone.ts';
import { PARENT } from './outbox.ts';
import type { MemberEvent, Peer, WorkerChannel } from './worker-channel.ts';

/** How a hub reaches the others. Values are clones already. */
export interface Wire {
  /** This worker's number; null in the parent. */
  readonly self: number | null;
  /** Throws ERR_PORTSIDE_LIMIT when too much is on its way, as {@link Wire.send} does. Asked before the value is cloned. */
  mustHaveRoom(op: string): void;
  broadcast(channel: string, value: unknown): void;
  /** To a worker, in this incarnation, or to the {@link PARENT}. */
  send(to: number, incarnation: number, channel: string, value: unknown): boolean;
}

interface Member {
  readonly peer: Peer;
  readonly incarnation: number;
}

interface Hook<F> {
  readonly fn: F;
}

type Receiver = (value: never, from: Peer) => void;
type Watcher = (event: MemberEvent) => void;

const parent: Peer = Object.freeze({ parent: true });
/** Which incarnation of a worker a peer is that a receiver was given. */
const incarnations = new WeakMap<Peer, number>();
const nameRule = string();

/**
 * The channels of one thread, and who else is there. Messages and members are told by whoever has the wire, outside of any connection.
 */
export class Hub {
  // Nobody can tell whether a channel that nobody holds is the same one when it is made again, so names that come and go leave nothing.
  readonly #channels = new Map<string, WeakRef<HubChannel>>();
  readonly #forgotten = new FinalizationRegistry<string>((name) => {
    if (this.#channels.get(name)?.deref() === undefined) this.#channels.delete(name);
  });
  readonly #receivers = new Map<string, Set<Hook<Receiver>>>();
  readonly #watchers = new Set<Hook<Watcher>>();
  readonly #members = new Map<number, Member>();
  #wire: Wire | null = null;
  #self: number | null = null;

  get connected(): boolean {
    return this.#wire !== null;
  }

  /** A worker stays what it was when all others have gone. */
  get self(): number | null {
    return this.#self;
  }

  get members(): readonly number[] {
    return [...this.#members.keys()].toSorted((a, b) => a - b);
  }

  /** The channel of a name; the type is what the caller says it is. Throws ERR_PORTSIDE_OPTIONS for a name that is no text, or empty. */
  channel<T>(name: string): WorkerChannel<T> {
    const known = this.#channels.get(checkValue('channel', 'name', nameRule, name))?.deref();
    if (known !== undefined) return known;
    const made = new HubChannel(this, name);
    this.#channels.set(name, new WeakRef(made));
    this.#forgotten.register(made, name);
    return made;
  }

  connect(wire: Wire): void {
    this.#wire = wire;
    this.#self = wire.self;
  }

  /** Nobody else is there from now on. */
  disconnect(): void {
    this.#wire = null;
    for (const worker of this.members) this.gone(worker);
  }

  broadcast(channel: string, value: unknown): void {
    this.#wire?.mustHaveRoom('broadcast');
    // Where nobody else is there too, so that what would not work over many workers is known before.
    const copy = cloned('broadcast', value);
    this.#wire?.broadcast(channel, copy);
  }

  send(to: Peer, channel: string, value: unknown): boolean {
    const target = addressOf(to);
    this.#wire?.mustHaveRoom('send');
    const copy = cloned('send', value);
    if (this.#wire === null) return false;
    if (target === PARENT) return this.#wire.self !== null && this.#wire.send(PARENT, 0, channel, copy);
    const member = this.#members.get(target);
    if (member === undefined) return false;
    const { incarnation } = member;
    if ((incarnations.get(to) ?? incarnation) !== incarnation) return false;
    return this.#wire.send(target, incarnation, channel, copy);
  }

  receive(channel: string, receiver: Receiver): () => void {
    let receivers = this.#receivers.get(channel);
    if (receivers === undefined) this.#receivers.set(channel, (receivers = new Set()));
    const all = receivers;
    const off = hook(all, receiver);
    return () => {
      off();
      if (all.size === 0 && this.#receivers.get(channel) === all) this.#receivers.delete(channel);
    };
  }

  onMember(watcher: Watcher): () => void {
    return hook(this.#watchers, watcher);
  }

  /** Whether anybody in this thread receives on a channel. */
  hears(channel: string): boolean {
    return this.#receivers.has(channel);
  }

  /** A message has come, from a worker that has joined and has not gone, or from the {@link PARENT}. */
  take(from: number, channel: string, value: unknown): void {
    const receivers = this.#receivers.get(channel);
    if (receivers === undefined) return;
    const peer = from === PARENT ? parent : this.#members.get(from)?.peer;
    if (peer === undefined) return;
    callAll(receivers, (receiver) => receiver(value as never, peer));
  }

  joined(worker: number, incarnation: number): void {
    const peer: Peer = Object.freeze({ worker });
    incarnations.set(peer, incarnation);
    this.#members.set(worker, { peer, incarnation });
    this.#tell({ kind: 'joined', worker });
  }

  gone(worker: number): void {
    if (this.#members.delete(worker)) this.#tell({ kind: 'gone', worker });
  }

  #tell(event: MemberEvent): void {
    callAll(this.#watchers, (watcher) => watcher(event));
  }
}

class HubChannel implements WorkerChannel<never> {
  readonly name: string;
  readonly #hub: Hub;

  constructor(hub: Hub, name: string) {
    this.#hub = hub;
    this.name = name;
  }

  get self(): number | null {
    return this.#hub.self;
  }

  get members(): readonly number[] {
    return this.#hub.members;
  }

  broadcast(value: unknown): void {
    this.#hub.broadcast(this.name, value);
  }

  send(to: Peer, value: unknown): boolean {
    return this.#hub.send(to, this.name, value);
  }

  receive(receiver: Receiver): () => void {
    return this.#hub.receive(this.name, receiver);
  }

  onMember(watcher: Watcher): () => void {
    return this.#hub.onMember(watcher);
  }
}

function hook<F>(hooks: Set<Hook<F>>, fn: F): () => void {
  const entry: Hook<F> = { fn };
  hooks.add(entry);
  return () => {
    hooks.delete(entry);
  };
}

/** Those who are there when it begins, and still are when their turn comes. */
function callAll<F>(hooks: Set<Hook<F>>, call: (fn: F) => void): void {
  for (const entry of [...hooks]) {
    if (!hooks.has(entry)) continue;
    try {
      call(entry.fn);
    } catch (error) {
      rethrowSoon(error);
    }
  }
}

function addressOf(to: Peer): number {
  if (typeof to === 'object' && to !== null) {
    if (to.parent === true) return PARENT;
    const { worker } = to;
    if (Number.isInteger(worker) && worker >= 0) return worker;
  }
  throw new PortsideError('ERR_PORTSIDE_OPTIONS', 'send: to must be { parent: true } or { worker: number }', {
    op: 'send',
  });
}

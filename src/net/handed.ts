import { resolve } from 'node:path';
import type { Address } from '../transport/address.ts';
import type { Acceptor, BindOptions, Channel, Transport } from '../transport/contract.ts';
import { HoldingAcceptor } from '../transport/node/holding.ts';
import type { Endpoint } from './endpoint.ts';
import type { Family } from './resolve.ts';

/** What a socket is for: one endpoint may be asked for twice. */
export type SocketRole = 'serve' | 'admin';

/** What makes one listening socket another than the next. */
export interface SocketPlace {
  readonly endpoint: Endpoint;
  readonly families?: readonly Family[] | undefined;
  readonly ipv6Only?: boolean | undefined;
}

/** A listening socket that this process was started with, bound already. */
export interface HandedSocket {
  readonly fd: number;
  /** Where; null where only the system knows. */
  readonly address: Address | null;
}

/** The sockets of one endpoint, by the name of {@link socketKey}. */
export interface HandedSockets {
  readonly key: string;
  readonly sockets: readonly HandedSocket[];
}

/** By this name an endpoint finds its sockets, in whichever process and version. */
export function socketKey(role: SocketRole, { endpoint, families, ipv6Only = false }: SocketPlace): string {
  switch (endpoint.kind) {
    case 'tcp':
    case 'tls': {
      const which = families === undefined ? ['ipv4', 'ipv6'] : families.toSorted();
      return JSON.stringify([role, 'tcp', endpoint.host ?? '', endpoint.port, which, ipv6Only]);
    }
    case 'unix':
      // An abstract name is no path.
      return JSON.stringify([role, 'unix', endpoint.path.startsWith('\0') ? endpoint.path : resolve(endpoint.path)]);
    case 'fd':
      return JSON.stringify([role, 'fd', endpoint.fd]);
    case 'systemd':
    case 'memory':
      return JSON.stringify([role, endpoint.kind, endpoint.name]);
  }
}

/** Those that nobody has taken yet. */
const waiting: HandedSockets[] = [];
/** What listens on those that were taken. */
const taken = new Set<HandedAcceptor>();

/** Has the endpoints of these sockets listen on them instead of binding. */
export function handSockets(sockets: readonly HandedSockets[]): void {
  waiting.push(...sockets);
}

/** The sockets that were handed over for an endpoint; null when there are none, or they were taken before. Those of two endpoints that are alike go in order. */
export function takeHanded(role: SocketRole, place: SocketPlace): readonly HandedSocket[] | null {
  if (waiting.length === 0) return null;
  const key = socketKey(role, place);
  const at = waiting.findIndex((one) => one.key === key);
  return at === -1 ? null : waiting.splice(at, 1)[0]!.sockets;
}

/** Listens on sockets that were handed over. */
export async function listenHanded(
  sockets: readonly HandedSocket[],
  transport: Transport,
  options: BindOptions,
): Promise<Acceptor[]> {
  const acceptors: Acceptor[] = [];
  try {
    for (const { fd, address } of sockets)
      acceptors.push(
        new HandedAcceptor(await transport.listen({ kind: 'fd', fd, address: address ?? undefined }, options)),
      );
  } catch (error) {
    for (const acceptor of acceptors) acceptor.close();
    throw error;
  }
  return acceptors;
}

/**
 * Leaves the sockets that were handed over to the other processes that have them: from now on nobody comes by them to this one. Who has come and waits here can still be
 * served; gives how many these are. The listeners know nothing of it.
 */
export function retireHanded(): number {
  let left = 0;
  for (const acceptor of taken) {
    acceptor.retire();
    left += acceptor.waiting;
  }
  return left;
}

/** On a socket that others have too. */
class HandedAcceptor extends HoldingAcceptor<Channel> {
  readonly #inner: Acceptor;
  #retired = false;

  constructor(inner: Acceptor) {
    super(inner.address, inner.kernelQueue);
    this.#inner = inner;
    inner.watcher = {
      ready: () => this.watcher?.ready(),
      trouble: (error) => this.watcher?.trouble(error),
    };
    taken.add(this);
  }

  take(): Channel | null {
    return this.#retired ? (this.next() ?? null) : this.#inner.take();
  }

  override pending(): boolean {
    return this.#retired ? super.pending() : this.#inner.pending();
  }

  override want(on: boolean): void {
    super.want(on);
    if (!this.#retired) this.#inner.want(on);
  }

  retire(): void {
    if (this.#retired || this.closed) return;
    const here: Channel[] = [];
    // Where nobody waits in the kernel, who came waits here.
    if (!this.kernelQueue) for (let one = this.#inner.take(); one !== null; one = this.#inner.take()) here.push(one);
    this.#retired = true;
    this.#inner.close();
    for (const channel of here) this.hold(channel);
  }

  /** How many wait here and not in the kernel. */
  get waiting(): number {
    return this.held;
  }

  protected hang(on: boolean): void {
    if (!this.#retired) this.#inner.ref(on);
  }

  protected shut(left: readonly Channel[]): void {
    taken.delete(this);
    this.#inner.close();
    for (const channel of left) channel.destroy('reset');
  }
}

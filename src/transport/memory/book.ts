import { SocketAddress, isIP } from 'node:net';
import { formatAddress, tcpAddress } from '../address.ts';
import type { Address, TcpAddress } from '../address.ts';
import type { BindTarget, DialTarget } from '../contract.ts';
import { systemError } from '../system-error.ts';
import type { MemoryAcceptor } from './acceptor.ts';
import { unsupported } from './errors.ts';

interface Bound {
  readonly address: TcpAddress;
  /** `::` that takes IPv4 as well. */
  readonly dual: boolean;
  readonly acceptor: MemoryAcceptor;
}

// Linux' ephemeral range.
const FIRST_PORT = 32_768;
const LAST_PORT = 60_999;

/** Who listens where in one network, and which ports are taken. */
export class AddressBook {
  readonly #hosts: ReadonlySet<string> | null;
  readonly #named: Map<string, MemoryAcceptor> = new Map();
  readonly #ports: Map<number, Bound[]> = new Map();
  readonly #clientPorts: Set<number> = new Set();
  #nextPort = FIRST_PORT;
  #nextName = 1;

  /** `hosts` are all that the network has, beside the wildcards; null for any. */
  constructor(hosts: readonly string[] | null) {
    this.#hosts = hosts === null ? null : new Set(hosts.map((host) => canonical(host, 'network').host));
  }

  /** Enters a listener; returns the address that it got. */
  bind(target: BindTarget, make: (address: Address) => MemoryAcceptor): MemoryAcceptor {
    if (target.kind === 'fd') throw unsupported('listen', 'descriptors');
    if (target.kind !== 'tcp') {
      const address = nameOf(target, 'listen');
      const key = formatAddress(address);
      if (this.#named.has(key)) throw systemError('listen', 'EADDRINUSE', { local: key });
      const acceptor = make(address);
      this.#named.set(key, acceptor);
      return acceptor;
    }
    const { family, host } = canonical(target.host, 'listen');
    const dual = host === '::' && !target.ipv6Only;
    if (!this.#has(host)) throw systemError('listen', 'EADDRNOTAVAIL', { local: target.host });
    const port = target.port === 0 ? this.#freePort('EADDRINUSE', 'listen', host) : checkedPort(target.port, 'listen');
    const address: TcpAddress = { family, host, port };
    const others = this.#ports.get(port) ?? [];
    if (others.some((other) => clash(other, address, dual)))
      throw systemError('listen', 'EADDRINUSE', { local: formatAddress(address) });
    const acceptor = make(address);
    this.#ports.set(port, [...others, { address, dual, acceptor }]);
    return acceptor;
  }

  /** Takes a listener out. */
  unbind(acceptor: MemoryAcceptor): void {
    const { address } = acceptor;
    if (address.family === 'unix' || address.family === 'memory') {
      this.#named.delete(formatAddress(address));
      return;
    }
    const left = (this.#ports.get(address.port) ?? []).filter((bound) => bound.acceptor !== acceptor);
    if (left.length > 0) this.#ports.set(address.port, left);
    else this.#ports.delete(address.port);
  }

  /** The address that a target means, with wildcards taken as loopback. Throws when it is none, or not in the network. */
  remote(target: DialTarget): Address {
    if (target.kind !== 'tcp') return nameOf(target, 'connect');
    const { family, host } = canonical(target.host, 'connect');
    const port = checkedPort(target.port, 'connect');
    const real = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    if (!this.#has(real))
      throw systemError('connect', 'EHOSTUNREACH', { remote: formatAddress({ family, host: real, port }) });
    return { family, host: real, port };
  }

  /** Who listens at an address. */
  find(address: Address): MemoryAcceptor | undefined {
    if (address.family === 'unix' || address.family === 'memory') return this.#named.get(formatAddress(address));
    const bound = this.#ports.get(address.port) ?? [];
    const any = address.family === 'ipv4' ? '0.0.0.0' : '::';
    const found =
      bound.find((one) => one.address.host === address.host) ??
      bound.find((one) => one.address.host === any) ??
      bound.find((one) => address.family === 'ipv4' && one.dual);
    return found?.acceptor;
  }

  /** An address for the side that dials; give it back with {@link release}. */
  client(target: DialTarget, remote: Address): Address {
    if (target.kind === 'unix') return { family: 'unix', path: '' };
    if (target.kind === 'memory' || remote.family === 'unix' || remote.family === 'memory') return this.clientName();
    const host = target.localHost === undefined ? nearHost(remote) : canonical(target.localHost, 'connect').host;
    const local = tcpAddress(host, 0);
    const text = formatAddress(remote);
    // A socket can't leave by an address of another family, nor by one that the machine lacks.
    if (local.family !== remote.family) throw systemError('connect', 'EINVAL', { local: host, remote: text });
    if (!this.#has(host)) throw systemError('connect', 'EADDRNOTAVAIL', { local: host, remote: text });
    let port = target.localPort ?? 0;
    if (port === 0) port = this.#freePort('EADDRNOTAVAIL', 'connect', host);
    else if (this.#clientPorts.has(checkedPort(port, 'connect')) || this.find({ ...local, port }) !== undefined) {
      throw systemError('connect', 'EADDRINUSE', { local: formatAddress({ ...local, port }), remote: text });
    }
    this.#clientPorts.add(port);
    return { ...local, port };
  }

  /** A name that nobody has. */
  clientName(): Address {
    for (;;) {
      const address: Address = { family: 'memory', name: `client-${this.#nextName++}` };
      if (!this.#named.has(formatAddress(address))) return address;
    }
  }

  /** A client's address is free again. */
  release(address: Address): void {
    if (address.family === 'ipv4' || address.family === 'ipv6') this.#clientPorts.delete(address.port);
  }

  #has(host: string): boolean {
    return this.#hosts === null || host === '0.0.0.0' || host === '::' || this.#hosts.has(host);
  }

  #freePort(code: string, op: string, host: string): number {
    for (let tried = FIRST_PORT; tried <= LAST_PORT; tried++) {
      const port = this.#nextPort;
      this.#nextPort = port === LAST_PORT ? FIRST_PORT : port + 1;
      if (!this.#ports.has(port) && !this.#clientPorts.has(port)) return port;
    }
    throw systemError(op, code, { local: host });
  }
}

function nameOf(
  target: { readonly kind: 'unix'; readonly path: string } | { readonly kind: 'memory'; readonly name: string },
  op: string,
): Address {
  const text = target.kind === 'unix' ? target.path : target.name;
  if (text === '') throw systemError(op, 'EINVAL', { local: target.kind === 'unix' ? 'unix://' : 'memory://' });
  return target.kind === 'unix' ? { family: 'unix', path: text } : { family: 'memory', name: text };
}

// `::1` has many spellings; two that mean the same host have to meet.
function canonical(host: string, op: string): TcpAddress {
  const [bare = '', zone] = host.split('%', 2);
  const version = isIP(bare);
  if (version === 0) throw systemError(op, 'EINVAL', { local: host });
  if (version === 4) return tcpAddress(bare, 0);
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  return tcpAddress(zone === undefined ? address : `${address}%${zone}`, 0);
}

function checkedPort(port: number, op: string): number {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw systemError(op, 'EINVAL', { local: String(port) });
  return port;
}

function clash(bound: Bound, address: TcpAddress, dual: boolean): boolean {
  const { address: other } = bound;
  if (other.family !== address.family) return bound.dual || dual;
  return other.host === address.host || isAny(other.host) || isAny(address.host);
}

function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function nearHost(remote: TcpAddress): string {
  return remote.host.startsWith('127.') ? '127.0.0.1' : remote.host;
}

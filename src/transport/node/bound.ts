import * as net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { PortsideError } from '../../base/errors.ts';
import { formatAddress, tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, AcceptorWatcher, BindOptions, BindTarget, Channel, Dial, Transport } from '../contract.ts';
import { systemError } from '../system-error.ts';
import { hasReusePort } from './internals.ts';
import { NodeDial } from './dial.ts';

/** What libuv has of a bound socket. */
interface BoundHandle {
  readonly fd: number;
  getsockname?(out: { address?: string; port?: number }): number;
  close(): void;
}

/** As `cluster` makes the sockets that its workers share: bound, and nothing more. Not in Node's documentation. */
type CreateHandle = (
  address: string,
  port: number,
  addressType: number,
  fd: undefined,
  flags: number,
) => BoundHandle | number;

/** Of libuv. */
const IPV6_ONLY = 1;
const REUSE_PORT = 2;

/**
 * A socket that is bound, for others to listen on: its descriptor goes to them, and it stays bound, with the clients that wait at it, while they come and go. Nothing is ever
 * accepted here.
 */
export class BoundSocket implements Acceptor {
  readonly address: Address;
  readonly kernelQueue: boolean = true;
  watcher: AcceptorWatcher | null = null;
  readonly #handle: BoundHandle;
  #open = true;

  constructor(handle: BoundHandle, address: Address) {
    this.#handle = handle;
    this.address = address;
  }

  /** Its descriptor, which stays this socket's. */
  get fd(): number {
    return this.#handle.fd;
  }

  take(): Channel | null {
    return null;
  }

  pending(): boolean {
    return false;
  }

  want(): void {}

  /** It does not keep the process alive. */
  ref(): void {}

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#handle.close();
  }
}

/** Binds as the backend over `node:net` does, and makes {@link BoundSocket}s. */
export const bindingTransport: Transport = {
  name: 'node',
  flags: {
    kernelQueue: true,
    reusePort: hasReusePort(),
    reset: true,
    transfer: false,
    handOver: false,
    tcp: true,
    unix: true,
    memory: false,
    descriptors: false,
    borrows: false,
  },
  adopt(): never {
    throw unsupported('it has no connections');
  },
  listen: (target: BindTarget, options: BindOptions): Promise<Acceptor> =>
    new Promise((resolve) => resolve(bind(target, options))),
  dial: (target): Dial => new NodeDial(target),
};

function bind(target: BindTarget, { reusePort, reuseAddress }: BindOptions): BoundSocket {
  const create = (net as unknown as { _createServerHandle?: CreateHandle })._createServerHandle;
  if (create === undefined)
    throw unsupported(`Node ${process.versions.node} can't bind a socket without listening on it`);
  switch (target.kind) {
    case 'tcp': {
      const { host, port, ipv6Only } = target;
      const local = formatAddress(tcpAddress(host, port));
      if (reuseAddress === false) throw unsupported('a socket that is kept always has SO_REUSEADDR', local);
      const flags = (ipv6Only ? IPV6_ONLY : 0) | (reusePort ? REUSE_PORT : 0);
      const handle = create(host, port, host.includes(':') ? 6 : 4, undefined, flags);
      if (typeof handle === 'number') throw failed(handle, local);
      // An address that is taken is told here; listening on such a socket would give it some other port.
      const name: { address?: string; port?: number } = {};
      const bad = handle.getsockname?.(name) ?? 0;
      if (bad === 0 && (port === 0 || name.port === port))
        return new BoundSocket(handle, tcpAddress(name.address ?? host, name.port ?? port));
      handle.close();
      throw bad === 0 ? systemError('listen', 'EADDRINUSE', { local }) : failed(bad, local);
    }
    case 'unix': {
      const { path } = target;
      const address: Address = { family: 'unix', path };
      const handle = create(path, -1, -1, undefined, 0);
      if (typeof handle === 'number') throw failed(handle, formatAddress(address));
      return new BoundSocket(handle, address);
    }
    default:
      throw unsupported('only TCP ports and paths can be bound and kept');
  }
}

function failed(code: number, local: string): PortsideError {
  return systemError('listen', getSystemErrorName(code), { local });
}

function unsupported(message: string, local?: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', message, { op: 'listen', local });
}

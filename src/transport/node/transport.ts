import { Server, Socket } from 'node:net';
import type { ListenOptions, SocketConstructorOpts } from 'node:net';
import { PortsideError } from '../../base/errors.ts';
import { formatAddress, tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, BindOptions, BindTarget, Channel, Dial, DialTarget, Released, Transport } from '../contract.ts';
import type { Passage, PassageTicket, Passages } from '../passage.ts';
import { systemError } from '../system-error.ts';
import { NodeAcceptor } from './acceptor.ts';
import type { Addresses } from './addresses.ts';
import { NodeArrivals } from './arrivals.ts';
import { NodeChannel } from './channel.ts';
import { NodeDial } from './dial.ts';
import { hasReusePort, movesSockets, tuneServer } from './internals.ts';
import { NodePassage } from './passage.ts';

const UNNAMED: Addresses = { local: { family: 'unix', path: '' }, remote: { family: 'unix', path: '' } };

const passages: Passages = {
  passage: (capacity: number): Passage => new NodePassage(capacity),
  arrivals: (ticket: PassageTicket, address: Address, kernelQueue: boolean): Acceptor =>
    new NodeArrivals(ticket, address, kernelQueue),
};

/** The backend over `node:net`. Runs wherever Node runs. */
export const nodeTransport: Transport = {
  name: 'node',
  flags: {
    kernelQueue: false,
    reusePort: hasReusePort(),
    reset: true,
    get transfer() {
      return movesSockets();
    },
    handOver: false,
    tcp: true,
    unix: true,
    memory: false,
    descriptors: true,
    borrows: false,
  },
  listen,
  dial: (target: DialTarget): Dial => new NodeDial(target),
  adopt,
  get passages() {
    return movesSockets() ? passages : undefined;
  },
};

async function listen(target: BindTarget, options: BindOptions): Promise<Acceptor> {
  const local = describe(target);
  if (target.kind === 'memory') throw unsupported('listen', `${local} is a name in memory; node:net has none`, local);
  if (options.reuseAddress === false && target.kind === 'tcp') {
    throw unsupported(
      'listen',
      'node:net always sets SO_REUSEADDR; `reuseAddress: false` needs the native transport',
      local,
    );
  }
  if (options.reusePort && !(target.kind === 'tcp' && nodeTransport.flags.reusePort)) {
    throw unsupported(
      'listen',
      target.kind === 'tcp'
        ? `Node ${process.versions.node} on ${process.platform} can't share a port between listeners (SO_REUSEPORT)`
        : `${local} can't be shared between listeners; only TCP ports can (SO_REUSEPORT)`,
      local,
    );
  }
  const server = new Server({ allowHalfOpen: true, pauseOnConnect: true });
  try {
    await bound(server, listenOptions(target, options));
    const { tuning } = options;
    const tuned = tuning !== undefined && isTcp(target) && tuneServer(server, tuning);
    return new NodeAcceptor(server, boundAddress(server, target), options.backlog, tuned);
  } catch (error) {
    server.close();
    throw systemError('listen', error, { local });
  }
}

function bound(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      server.off('error', failed);
      resolve();
    };
    const failed = (error: Error): void => {
      server.off('listening', done);
      reject(error);
    };
    server.once('listening', done);
    server.once('error', failed);
    server.listen(options);
  });
}

/** `fd` is documented, but not in the types. */
type NodeListenOptions = ListenOptions & { fd?: number };

function listenOptions(target: Exclude<BindTarget, { kind: 'memory' }>, options: BindOptions): NodeListenOptions {
  const { backlog, reusePort } = options;
  switch (target.kind) {
    case 'tcp': {
      const { host, port, ipv6Only } = target;
      return { host, port, backlog, ipv6Only: ipv6Only && host.includes(':'), ...(reusePort ? { reusePort } : {}) };
    }
    case 'unix':
      return { path: target.path, backlog };
    case 'fd':
      return { fd: target.fd, backlog };
  }
}

function isTcp(target: BindTarget): boolean {
  return target.kind === 'tcp' || (target.kind === 'fd' && target.address !== undefined && 'port' in target.address);
}

function boundAddress(server: Server, target: BindTarget): Address {
  const address = server.address();
  // Node can't tell the path of a Unix socket that it was given by descriptor.
  if (address === null) return (target.kind === 'fd' ? target.address : undefined) ?? { family: 'unix', path: '' };
  if (typeof address === 'string') return { family: 'unix', path: address };
  return tcpAddress(address.address, address.port);
}

function adopt(released: Released): Channel {
  switch (released.kind) {
    case 'socket': {
      const socket = released.socket;
      if (!(socket instanceof Socket))
        throw unsupported('adopt', 'node:net can adopt a net.Socket or a descriptor only');
      const unix = socket.remoteFamily === undefined && socket.localFamily === undefined;
      return NodeChannel.adopt(socket, unix ? UNNAMED : null, released.unread, released.ended);
    }
    case 'fd': {
      // `pauseOnCreate` is what net.Server uses: nothing is read, not even ahead.
      const options: SocketConstructorOpts & { pauseOnCreate: boolean } = {
        fd: released.fd,
        allowHalfOpen: true,
        pauseOnCreate: true,
      };
      let socket: Socket;
      try {
        socket = new Socket(options);
      } catch (error) {
        throw systemError('adopt', error, { local: `fd://${released.fd}` });
      }
      // The kernel tells an end that was told before again, so it isn't kept.
      return NodeChannel.adopt(socket, released.unix ? UNNAMED : null, released.unread, false);
    }
    case 'memory':
      throw unsupported('adopt', "a connection in memory can't be adopted by node:net");
  }
}

function describe(target: BindTarget): string {
  switch (target.kind) {
    case 'tcp':
      return formatAddress(tcpAddress(target.host, target.port));
    case 'unix':
      return formatAddress({ family: 'unix', path: target.path });
    case 'memory':
      return formatAddress({ family: 'memory', name: target.name });
    case 'fd':
      return target.address === undefined ? `fd://${target.fd}` : formatAddress(target.address);
  }
}

function unsupported(op: string, message: string, local?: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', message, { op, local });
}

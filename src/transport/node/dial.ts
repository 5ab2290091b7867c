import { Socket } from 'node:net';
import type { SocketConnectOpts } from 'node:net';
import { PortsideError } from '../../base/errors.ts';
import { formatAddress, tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Channel, Dial, DialTarget } from '../contract.ts';
import { systemError } from '../system-error.ts';
import { NodeChannel } from './channel.ts';

/** A connection that node:net is making. */
export class NodeDial implements Dial {
  readonly result: Promise<Channel>;
  readonly #remote: string;
  #socket: Socket | null = null;
  #reject: (error: PortsideError) => void = () => {};

  constructor(target: DialTarget) {
    const remote = remoteAddress(target);
    this.#remote = formatAddress(remote);
    this.result = new Promise((resolve, reject) => {
      this.#reject = reject;
      if (target.kind === 'memory') {
        reject(
          new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `${this.#remote} is a name in memory; node:net has none`, {
            op: 'connect',
            remote: this.#remote,
          }),
        );
      } else this.#begin(target, remote, resolve);
    });
  }

  cancel(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.destroy();
    this.#reject(
      new PortsideError('ERR_PORTSIDE_ABORTED', `connecting to ${this.#remote} was called off`, {
        op: 'connect',
        remote: this.#remote,
      }),
    );
  }

  #begin(target: Exclude<DialTarget, { kind: 'memory' }>, remote: Address, resolve: (channel: Channel) => void): void {
    const socket = new Socket({ allowHalfOpen: true });
    this.#socket = socket;
    // Else Node reads ahead as soon as it is connected.
    socket.pause();
    const connected = (): void => {
      if (this.#socket === null) return;
      this.#socket = null;
      const unix = remote.family === 'unix';
      const channel = new NodeChannel(socket, unix ? { family: 'unix', path: '' } : null, remote);
      socket.off('error', failed);
      resolve(channel);
    };
    // It stays while the socket is not connected: destroying one may still tell an error.
    const failed = (error: Error): void => {
      if (this.#socket === null) return;
      this.#socket = null;
      const local =
        target.kind === 'tcp' && (target.localHost !== undefined || target.localPort !== undefined)
          ? localText(target)
          : undefined;
      this.#reject(systemError('connect', error, { local, remote: this.#remote }));
    };
    socket.on('error', failed);
    socket.once('connect', connected);
    try {
      socket.connect(connectOptions(target));
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)));
      socket.destroy();
    }
  }
}

function remoteAddress(target: DialTarget): Address {
  switch (target.kind) {
    case 'tcp':
      return tcpAddress(target.host, target.port);
    case 'unix':
      return { family: 'unix', path: target.path };
    case 'memory':
      return { family: 'memory', name: target.name };
  }
}

type TcpTarget = Extract<DialTarget, { kind: 'tcp' }>;

function connectOptions(target: Exclude<DialTarget, { kind: 'memory' }>): SocketConnectOpts {
  if (target.kind === 'unix') return { path: target.path };
  const { host, port, localHost, localPort } = target;
  return {
    host,
    port,
    ...(localHost === undefined ? {} : { localAddress: localHost }),
    ...(localPort === undefined ? {} : { localPort }),
  };
}

function localText({ host, localHost, localPort }: TcpTarget): string {
  const any = host.includes(':') ? '::' : '0.0.0.0';
  return formatAddress(tcpAddress(localHost ?? any, localPort ?? 0));
}

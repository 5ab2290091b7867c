import type { Server, Socket } from 'node:net';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Channel } from '../contract.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { systemError } from '../system-error.ts';
import { NodeChannel } from './channel.ts';
import { HoldingAcceptor } from './holding.ts';

const UNNAMED: Address = { family: 'unix', path: '' };

/**
 * Over a listening `net.Server`. Node accepts all the time, so what nobody took is held here, unread, up to `backlog`;
 * the next are reset. When descriptors run out libuv accepts and closes clients without a word; only what it does
 * report comes as trouble.
 */
export class NodeAcceptor extends HoldingAcceptor<NodeChannel> {
  readonly #server: Server;
  readonly #backlog: number;
  /** Connections have the options that the listening socket was given. */
  readonly #tuned: boolean;

  /** @param server It listens, with `pauseOnConnect` and `allowHalfOpen`. */
  constructor(server: Server, address: Address, backlog: number, tuned: boolean) {
    super(address, false);
    this.#tuned = tuned;
    this.#server = server;
    this.#backlog = backlog;
    server.on('connection', (socket) => this.#arrive(socket));
    server.on('error', (error) => {
      if (this.closed) return;
      try {
        this.watcher?.trouble(systemError('accept', error, { local: formatAddress(address) }));
      } catch (thrown) {
        rethrowSoon(thrown);
      }
    });
  }

  take(): Channel | null {
    return this.next() ?? null;
  }

  protected hang(on: boolean): void {
    if (on) this.#server.ref();
    else this.#server.unref();
  }

  protected shut(left: readonly NodeChannel[]): void {
    this.#server.close();
    for (const channel of left) channel.destroy('reset');
  }

  #arrive(socket: Socket): void {
    const unix = this.address.family === 'unix';
    const channel = new NodeChannel(socket, unix ? this.address : null, unix ? UNNAMED : null, this.#tuned);
    // A peer that is gone has no address any more: an error of this one connection.
    const gone = !unix && socket.remoteAddress === undefined;
    if (gone || this.closed || this.held >= this.#backlog) channel.destroy('reset');
    else this.hold(channel);
  }
}

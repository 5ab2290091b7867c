import type { Server, Socket } from 'node:net';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { Acceptor, AcceptorWatcher, Channel } from '../contract.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { systemError } from '../system-error.ts';
import { NodeChannel } from './channel.ts';

const UNNAMED: Address = { family: 'unix', path: '' };

/**
 * Over a listening `net.Server`. Node accepts all the time, so what nobody took is held here, unread, up to `backlog`;
 * the next are reset. When descriptors run out libuv accepts and closes clients without a word; only what it does
 * report comes as trouble.
 */
export class NodeAcceptor implements Acceptor {
  readonly address: Address;
  readonly kernelQueue = false;
  watcher: AcceptorWatcher | null = null;
  readonly #server: Server;
  readonly #backlog: number;
  #waiting: NodeChannel[] = [];
  /** Index of the next in `#waiting`. */
  #first = 0;
  #wanted = false;
  #closed = false;
  #refed = true;
  #turn: NodeJS.Immediate | null = null;

  /** @param server It listens, with `pauseOnConnect` and `allowHalfOpen`. */
  constructor(server: Server, address: Address, backlog: number) {
    this.#server = server;
    this.address = address;
    this.#backlog = backlog;
    server.on('connection', (socket) => this.#arrive(socket));
    server.on('error', (error) => {
      if (this.#closed) return;
      try {
        this.watcher?.trouble(systemError('accept', error, { local: formatAddress(address) }));
      } catch (thrown) {
        rethrowSoon(thrown);
      }
    });
  }

  take(): Channel | null {
    const channel = this.#waiting[this.#first];
    if (channel === undefined) return null;
    this.#first += 1;
    if (this.#first === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#first = 0;
    } else if (this.#first >= 64 && this.#first * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return channel;
  }

  pending(): boolean {
    return this.#waiting.length > 0;
  }

  want(on: boolean): void {
    if (this.#closed) return;
    this.#wanted = on;
    if (on) this.#again();
    else this.#rest();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wanted = false;
    this.#rest();
    this.#server.close();
    for (const channel of this.#waiting.slice(this.#first)) channel.destroy('reset');
    this.#waiting = [];
    this.#first = 0;
  }

  ref(on: boolean): void {
    if (this.#closed) return;
    this.#refed = on;
    if (on) {
      this.#server.ref();
      this.#turn?.ref();
    } else {
      this.#server.unref();
      this.#turn?.unref();
    }
  }

  #arrive(socket: Socket): void {
    const unix = this.address.family === 'unix';
    const channel = new NodeChannel(socket, unix ? this.address : null, unix ? UNNAMED : null);
    // A peer that is gone has no address any more: an error of this one connection.
    const gone = !unix && socket.remoteAddress === undefined;
    if (gone || this.#closed || this.#waiting.length - this.#first >= this.#backlog) {
      channel.destroy('reset');
      return;
    }
    this.#waiting.push(channel);
    if (this.#wanted) this.#ready();
  }

  #ready(): void {
    try {
      this.watcher?.ready();
    } catch (error) {
      rethrowSoon(error);
    }
    if (this.#wanted) this.#again();
  }

  /** Another call in the next turn of the loop, while something is left. */
  #again(): void {
    if (this.#turn !== null || this.#waiting.length === 0) return;
    this.#turn = setImmediate(() => {
      this.#turn = null;
      if (this.#wanted && this.#waiting.length > 0) this.#ready();
    });
    if (!this.#refed) this.#turn.unref();
  }

  #rest(): void {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
  }
}

import type { IncomingMessage, Server } from 'node:http';

type Socket = IncomingMessage['socket'];

/**
 * Holds an HTTP server to so many connections. One more takes the place of the one that has been there longest without asking for anything, so that
 * those who connect and say nothing, however many, don't keep others out.
 */
export class AdminSockets {
  /** In the order of their coming; those that are being answered apart. */
  readonly #waiting = new Set<Socket>();
  readonly #asking = new Map<Socket, number>();
  readonly #most: number;
  #closed = false;

  constructor(server: Server, most: number) {
    this.#most = most;
    server.on('connection', (socket) => this.#came(socket));
    server.on('request', ({ socket }, response) => {
      this.#waiting.delete(socket);
      this.#asking.set(socket, (this.#asking.get(socket) ?? 0) + 1);
      response.once('close', () => this.#answered(socket));
    });
  }

  get count(): number {
    return this.#waiting.size + this.#asking.size;
  }

  /** Ends those that ask for nothing, and the others when they are answered. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#waiting) socket.destroy();
  }

  /** Ends all. */
  destroy(): void {
    this.close();
    for (const socket of this.#asking.keys()) socket.destroy();
  }

  #came(socket: Socket): void {
    socket.once('close', () => {
      this.#waiting.delete(socket);
      this.#asking.delete(socket);
    });
    if (this.count >= this.#most) {
      const [longest] = this.#waiting;
      if (longest === undefined) {
        socket.destroy();
        return;
      }
      this.#waiting.delete(longest);
      longest.destroy();
    }
    if (this.#closed) socket.destroy();
    else this.#waiting.add(socket);
  }

  #answered(socket: Socket): void {
    const left = (this.#asking.get(socket) ?? 1) - 1;
    if (left > 0) {
      this.#asking.set(socket, left);
      return;
    }
    this.#asking.delete(socket);
    if (socket.destroyed) return;
    if (this.#closed) socket.destroySoon();
    else this.#waiting.add(socket);
  }
}

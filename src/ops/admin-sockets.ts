import type { IncomingMessage, Server, ServerResponse } from 'node:http';

type Socket = IncomingMessage['socket'];

/**
 * Holds an HTTP server to so many connections. One more takes the place of the one that has been there longest without asking for anything, or else of one that was
 * answered and does not take it, so that those who connect and say or hear nothing, however many, don't keep others out.
 */
export class AdminSockets {
  /** In the order of their coming; those that are being answered apart, with their answers. */
  readonly #waiting = new Set<Socket>();
  readonly #asking = new Map<Socket, Set<ServerResponse>>();
  readonly #most: number;
  #closed = false;

  constructor(server: Server, most: number) {
    this.#most = most;
    server.on('connection', (socket) => this.#came(socket));
    server.on('request', ({ socket }, response) => {
      this.#waiting.delete(socket);
      const answers = this.#asking.get(socket) ?? new Set();
      this.#asking.set(socket, answers.add(response));
      response.once('close', () => this.#answered(socket, response));
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
      const [longest = this.#deaf()] = this.#waiting;
      if (longest === undefined) {
        socket.destroy();
        return;
      }
      this.#waiting.delete(longest);
      this.#asking.delete(longest);
      longest.destroy();
    }
    if (this.#closed) socket.destroy();
    else this.#waiting.add(socket);
  }

  /** Who has all that he asked for, but for taking it. */
  #deaf(): Socket | undefined {
    for (const [socket, answers] of this.#asking)
      if ([...answers].every(({ writableEnded }) => writableEnded)) return socket;
    return undefined;
  }

  #answered(socket: Socket, response: ServerResponse): void {
    const answers = this.#asking.get(socket);
    answers?.delete(response);
    if (answers !== undefined && answers.size > 0) return;
    this.#asking.delete(socket);
    if (socket.destroyed) return;
    if (this.#closed) socket.destroySoon();
    else this.#waiting.add(socket);
  }
}

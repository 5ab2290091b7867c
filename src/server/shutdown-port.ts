import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { parseEndpoint } from '../net/endpoint.ts';
import type { EndpointLike } from '../net/endpoint.ts';
import { isOwnEnd } from '../net/link-errors.ts';
import { listen } from '../net/listen.ts';
import type { Listener } from '../net/listener.ts';
import type { TransportChoice } from '../net/transports.ts';

/** Connections to the shutdown port that are asked about at a time; more wait. */
const MOST = 16;
/** Milliseconds that one may take: who says nothing, or is asked for ever, must not fill the port. */
const LIFE = 10_000;

/** Where any connection asks for the server's end. */
export class ShutdownPort {
  readonly listener: Listener;
  readonly #ask: (connection: Connection) => unknown;
  readonly #stop: () => void;
  readonly #fail: (error: unknown, connection: Connection) => void;
  /** Those that are not over yet. */
  readonly #open = new Set<Connection>();
  #more: (() => void) | null = null;

  /** Binds; on loopback unless a host is named. */
  static async open(
    where: EndpointLike,
    transport: TransportChoice | undefined,
    ask: (connection: Connection) => unknown,
    stop: () => void,
    fail: (error: unknown, connection: Connection) => void,
  ): Promise<ShutdownPort> {
    const endpoint = parseEndpoint(where, 'server', 'options.shutdown');
    const local =
      endpoint.kind === 'tcp' && endpoint.host === undefined ? { ...endpoint, host: '127.0.0.1' } : endpoint;
    const listener = await listen({
      endpoint: local,
      transport,
      linger: 1_000,
      deadlines: { life: LIFE, write: 1_000 },
    });
    return new ShutdownPort(listener, ask, stop, fail);
  }

  private constructor(
    listener: Listener,
    ask: (connection: Connection) => unknown,
    stop: () => void,
    fail: (error: unknown, connection: Connection) => void,
  ) {
    this.listener = listener;
    this.#ask = ask;
    this.#stop = stop;
    this.#fail = fail;
  }

  /** Begins to accept. */
  open(): void {
    void this.#accept();
  }

  /** Closes the port. Nobody who was not answered yet is waited for. */
  close(): Promise<void> {
    const closed = this.listener.close();
    for (const connection of this.#open) if (!link(connection).closing) connection.abort();
    this.#wake();
    return closed;
  }

  async #accept(): Promise<void> {
    for (;;) {
      let connection: Connection;
      try {
        connection = await this.listener.accept();
      } catch {
        // The port is closed, or its scope is being closed, which closes it.
        return;
      }
      this.#open.add(connection);
      void this.#hear(connection);
      if (this.#open.size < MOST) continue;
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
  }

  async #hear(connection: Connection): Promise<void> {
    // Its place is free when it is over, whether it was answered or not.
    void connection.closed.then(() => {
      this.#open.delete(connection);
      this.#wake();
    });
    let stop = false;
    try {
      stop = (await this.#ask(connection)) === true;
    } catch (error) {
      if (!isOwnEnd(link(connection), error)) this.#fail(error, connection);
    }
    // The server's end does not wait for this client's.
    void connection.close();
    if (stop) this.#stop();
  }

  #wake(): void {
    this.#more?.();
    this.#more = null;
  }
}

import { link } from '../net/connection.ts';
import { Scope } from '../sync/scope.ts';
import type { Logger } from './logger.ts';
import { connectionLogger } from './server-log.ts';
import type { Served } from './served.ts';
import type { Server } from './server.ts';

let create: (server: Server, served: Served) => Context;

/** What a handler is given beside its connection. */
export class Context<Ctx = unknown> {
  /** The server that accepted the connection. */
  readonly server: Server<Ctx>;
  readonly #served: Served;
  #scope: Scope | null = null;
  #log: Logger | null = null;

  static {
    create = (server, served) => new Context(server, served);
  }

  // Contexts come from a server.
  private constructor(server: Server<Ctx>, served: Served) {
    this.server = server;
    this.#served = served;
  }

  /** The connection's number: from 1, in the order of acceptance, never given twice by one server. */
  get id(): number {
    return this.#served.id;
  }

  /** The `context` that the server was given. */
  get context(): Ctx {
    return this.server.context;
  }

  /**
   * The server's `logger`, whose lines here have the connection's number as `conn` and its peer as `peer` (by its PROXY header, where it came with one). Made when it is first asked
   * for. Without a `logger` it is silent, and one for all.
   */
  get log(): Logger {
    this.#log ??= connectionLogger(this.#served);
    return this.#log;
  }

  /**
   * A scope that lives as long as the connection: what is opened in `context.scope.run(…)` is closed when the connection is over, and not before, though the handler
   * has returned or given the connection away. It lies within the scope in which the server was made. Made when it is first asked for; without it, what a handler
   * opens belongs to nobody, so that a pool does not die with its first client. After the end of the connection it is closed.
   */
  get scope(): Scope {
    if (this.#scope === null) {
      const { id, host, connection } = this.#served;
      const scope = new Scope({ name: `connection ${id}`, parent: host.scope ?? null, clock: host.clock });
      this.#scope = scope;
      link(connection).onClose(() => void scope.close());
    }
    return this.#scope;
  }
}

/** The context of a connection that a server serves. */
export function contextOf(server: Server, served: Served): Context {
  return create(server, served);
}

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { isPortsideError } from '../base/errors.ts';
import { check, fn, integer, list, required, secret, string, table, that, union } from '../base/options.ts';
import type { Table } from '../base/options.ts';
import { ownedByScope } from '../parallel/owned.ts';
import { systemClock } from '../sync/clock.ts';
import type { Clock } from '../sync/clock.ts';
import { rethrowSoon } from '../sync/rethrow.ts';
import type { Address } from '../transport/address.ts';
import { AdminEvents } from './admin-events.ts';
import { AdminGuard } from './admin-guard.ts';
import { bindAdmin } from './admin-listen.ts';
import type { Bound } from './admin-listen.ts';
import { AdminPage } from './admin-page.ts';
import type { PageSource } from './admin-page.ts';
import { firstLine, lineOf } from './admin-reply.ts';
import { AdminRoutes } from './admin-routes.ts';
import { AdminSockets } from './admin-sockets.ts';
import { statusOf, tickOf } from './admin-status.ts';
import type { TickJson } from './admin-status.ts';
import { AuditLog } from './audit.ts';
import type { AuditEntry } from './audit.ts';
import { ConnectionList } from './connection-list.ts';
import { DrainLedger } from './drain-progress.ts';
import { History } from './history.ts';
import { packageVersion } from './package-version.ts';
import { RequestRate } from './request-rate.ts';
import type { Subject, SubjectEvent, SubjectStatus } from './subject.ts';
import { VitalSigns } from './vitals.ts';

/** Options of {@link startAdmin}. */
export interface AdminOptions {
  /** Where: `127.0.0.1:7001`, `:7001` (loopback), `/run/x.sock`, `fd://3`, `systemd://name`. A path is made for its own user alone (0600). */
  listen: string;
  /** What who asks has to show, by `Authorization: Bearer …`: 16 to 1024 printable characters. Needed where others than this machine may come. @default none */
  token?: string | undefined;
  /** Names by which it is asked for (in the Host header), beside those of loopback and the address itself. */
  names?: readonly string[] | undefined;
  /** What `GET /metrics` answers. @default 404 */
  metrics?: { readonly contentType: string; text(): Promise<string> } | undefined;
  /**
   * What `GET /` answers: a whole page of HTML, or what gives it when it is first asked for, as `statusPage` does. Scripts and styles have to stand in it as
   * elements; nothing is loaded, and nothing runs that came into it later. @default 404
   */
  page?: PageSource | undefined;
  /** Told of every action. */
  log?: ((entry: AuditEntry) => void) | undefined;
  /** Told of what goes wrong in the endpoint itself, and of what `log` throws. @default it is thrown, as an uncaught exception */
  onError?: ((error: unknown) => void) | undefined;
  /** Connections at a time; one more takes the place of one that asks for nothing. @default 256 */
  maxConnections?: number | undefined;
  /** Watchers of `/api/events` at a time. @default 64 */
  maxWatchers?: number | undefined;
  /** Requests in a second, over all who ask; those without a token that is needed are counted apart, and those to `/livez` and `/readyz` not at all. @default 200 */
  maxRequests?: number | undefined;
}

const adminTable: Table<AdminOptions> = table('startAdmin', {
  listen: required(string()),
  token: secret(
    that<string>(
      'a text of 16 to 1024 printable characters without blanks',
      (value) => typeof value === 'string' && /^[\x21-\x7e]{16,1024}$/u.test(value),
    ),
  ),
  names: list(
    that<string>('a host name', (value) => typeof value === 'string' && /^[a-z0-9._-]{1,253}$/iu.test(value)),
    { max: 100 },
  ),
  metrics: that<NonNullable<AdminOptions['metrics']>>(
    'an object with contentType and text()',
    (value) => typeof (value as Partial<NonNullable<AdminOptions['metrics']>> | null)?.text === 'function',
  ),
  page: union(string(), fn<Exclude<PageSource, string>>()),
  log: fn<NonNullable<AdminOptions['log']>>(),
  onError: fn<NonNullable<AdminOptions['onError']>>(),
  maxConnections: integer({ min: 1, max: 10_000 }),
  maxWatchers: integer({ min: 1, max: 10_000 }),
  maxRequests: integer({ min: 1, max: 1_000_000 }),
});

/** Bytes of a request's line and headers, at most. */
const MOST_HEADERS = 8_192;
/** Milliseconds in which headers have to be there, a whole request, and the next one on the same connection. */
const HEADERS_TIME = 5_000;
const REQUEST_TIME = 10_000;
const IDLE_TIME = 30_000;
/** Milliseconds that answers under way have when it is closed. */
const LAST_ANSWERS = 1_000;

/** What an admin endpoint is made of. */
interface AdminParts {
  readonly bound: Bound;
  readonly http: Server;
  readonly sockets: AdminSockets;
  readonly events: AdminEvents;
  readonly audit: AuditLog;
  /** Called when it is closed. */
  readonly end: () => void;
}

let open: (parts: AdminParts) => Admin;

/** The admin endpoint of a server. Made by {@link startAdmin}. */
export class Admin implements AsyncDisposable {
  /** Where it listens, with the port really bound. */
  readonly address: Address;
  readonly #parts: AdminParts;
  #closed: Promise<void> | null = null;

  static {
    open = (parts) => new Admin(parts);
  }

  private constructor(parts: AdminParts) {
    this.address = parts.bound.address;
    this.#parts = parts;
  }

  /** What was done by it, the last thousand actions. */
  get audit(): readonly AuditEntry[] {
    return this.#parts.audit.entries;
  }

  /** How many watch its events. */
  get watchers(): number {
    return this.#parts.events.watchers;
  }

  /** Ends it: watchers in order, and answers under way within a second. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { bound, http, sockets, events, end } = this.#parts;
    const over = new Promise<void>((resolve) => {
      http.close(() => resolve());
    });
    events.close();
    sockets.close();
    const timer = setTimeout(() => sockets.destroy(), LAST_ANSWERS);
    await over;
    clearTimeout(timer);
    bound.cleanup();
    end();
  }
}

/**
 * Opens the admin endpoint of a server: HTTP by which people and programs see what it does, and act. It is loopback's, or its user's by a path, unless there is
 * a token; browsers are held to its own page. See docs/guide/operations.md for what can be asked.
 *
 * Rejects with ERR_PORTSIDE_OPTIONS with all that is wrong, also where others than this machine may come and there is no token; and as `listen` does. It belongs to the
 * scope that is current now.
 */
export async function startAdmin(subject: Subject, given: AdminOptions): Promise<Admin> {
  const options: AdminOptions = check(adminTable, given);
  const { token = null, names = [], maxConnections = 256, maxWatchers = 64, maxRequests = 200 } = options;
  // Held to no clock of a test's, as HTTP is not either.
  const clock: Clock = systemClock;
  const failed = (error: unknown): void => {
    if (options.onError === undefined) rethrowSoon(error);
    else options.onError(error);
  };
  const http = createServer({
    maxHeaderSize: MOST_HEADERS,
    headersTimeout: HEADERS_TIME,
    requestTimeout: REQUEST_TIME,
    keepAliveTimeout: IDLE_TIME,
    connectionsCheckingInterval: 1_000,
  });
  http.maxHeadersCount = 100;
  const sockets = new AdminSockets(http, maxConnections);
  const version = packageVersion();
  const bound = await bindAdmin(http, options.listen, token !== null);
  const vitals = new VitalSigns();
  const drain = new DrainLedger(subject, clock);
  const look = (status: SubjectStatus): TickJson =>
    tickOf(status, vitals.read(), drain.read(status), Math.round(clock.wall()));
  const events = new AdminEvents(maxWatchers, clock, () => look(subject.status()));
  const audit = new AuditLog((entry) => {
    try {
      options.log?.(entry);
    } catch (error) {
      failed(error);
    }
    events.tell('audit', { ...entry });
  });
  const history = new History(clock, () => look(subject.status()));
  const routes = new AdminRoutes({
    subject,
    events,
    audit,
    clock,
    guard: new AdminGuard({ token, names, unix: bound.address.family === 'unix' }),
    list: new ConnectionList(subject, clock),
    rate: new RequestRate(maxRequests, clock),
    strangers: new RequestRate(maxRequests, clock),
    metrics: options.metrics ?? null,
    page: options.page === undefined ? null : new AdminPage(options.page),
    history,
    status: () => {
      const status = subject.status();
      return statusOf(subject, status, look(status), version);
    },
    failed,
  });
  // No connection is taken up before the next turn of the loop.
  http.on('request', (request, response) => void routes.answer(request, response));
  http.on('error', failed);
  const tellDrain = (): void => {
    const progress = drain.read(subject.status());
    if (progress !== null) events.tell('drain', { ...progress });
  };
  const unwatch = subject.watch((event) => {
    if (events.watchers > 0) events.tell(event.kind, told(event));
    if (event.kind === 'state') tellDrain();
  });
  let disown = (): void => {};
  const end = (): void => {
    unwatch();
    drain[Symbol.dispose]();
    history[Symbol.dispose]();
    vitals[Symbol.dispose]();
    disown();
  };
  const admin = open({ bound, http, sockets, events, audit, end });
  try {
    disown = ownedByScope('admin endpoint', () => admin.close());
  } catch (error) {
    await admin.close();
    throw error;
  }
  return admin;
}

/** An event as it is told: errors by their first line, as stacks are for logs. */
function told(event: SubjectEvent): Readonly<Record<string, unknown>> {
  if (event.kind === 'state') return { state: event.state, before: event.before };
  if (event.kind === 'worker') {
    const { what, worker, detail } = event;
    return { what, worker, detail: detail === null ? null : lineOf(detail) };
  }
  const { error, worker } = event;
  return { worker, code: isPortsideError(error) ? error.code : null, message: firstLine(error) };
}

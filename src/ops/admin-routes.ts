import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../sync/clock.ts';
import { actions, inShort } from './admin-actions.ts';
import { readBody } from './admin-body.ts';
import type { AdminEvents } from './admin-events.ts';
import type { AdminGuard } from './admin-guard.ts';
import type { AdminPage } from './admin-page.ts';
import { Refused, failure, failureOf, json, line, send } from './admin-reply.ts';
import type { Reply } from './admin-reply.ts';
import { connectionJson } from './admin-status.ts';
import type { StatusJson } from './admin-status.ts';
import type { AuditLog } from './audit.ts';
import type { ConnectionList } from './connection-list.ts';
import { pageOf, readQuery } from './connection-query.ts';
import type { History } from './history.ts';
import type { RequestRate } from './request-rate.ts';
import type { Subject } from './subject.ts';

/** What the routes of an admin endpoint work with. */
export interface RouteParts {
  readonly subject: Subject;
  readonly guard: AdminGuard;
  readonly events: AdminEvents;
  readonly audit: AuditLog;
  readonly list: ConnectionList;
  readonly rate: RequestRate;
  /** Of those who don't show the token, so that they don't use up the rate of those who do. */
  readonly strangers: RequestRate;
  readonly clock: Clock;
  readonly metrics: { readonly contentType: string; text(): Promise<string> } | null;
  readonly page: AdminPage | null;
  readonly history: History;
  status(): StatusJson;
  /** Something of ours went wrong. */
  failed(error: unknown): void;
}

type View = (request: IncomingMessage, url: URL) => Reply | Promise<Reply>;

/** Answers the requests to an admin endpoint. */
export class AdminRoutes {
  readonly #parts: RouteParts;
  /** Workers are being exchanged. */
  #exchanging = false;

  constructor(parts: RouteParts) {
    this.#parts = parts;
  }

  readonly answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const head = request.method === 'HEAD';
    // Whoever is asked goes away is nobody's error.
    response.on('error', () => {});
    try {
      const reply = await this.#reply(request, response);
      if (reply !== null) send(response, reply, head);
    } catch (error) {
      const reply = failure(error);
      // Half a request is followed by nothing.
      if (reply.status >= 500 && !request.destroyed && !(error instanceof Refused)) this.#parts.failed(error);
      send(response, request.complete ? reply : { ...reply, last: true }, head);
    }
  };

  /** Null: it is answered by and by. */
  async #reply(request: IncomingMessage, response: ServerResponse): Promise<Reply | null> {
    const { guard, rate, strangers, events, page } = this.#parts;
    const { method = '', url: target = '' } = request;
    const url = URL.parse(target, 'http://admin');
    if (url === null || !target.startsWith('/')) throw new Refused(400, 'bad-request', 'that is no path');
    const reads = method === 'GET' || method === 'HEAD';
    if (reads) mustBeBare(request);
    // Who watches over the server asks by whatever name, and is never turned away for others.
    if (url.pathname === '/livez') return mustRead(reads, 'GET, HEAD', () => line('live'));
    if (url.pathname === '/readyz') return mustRead(reads, 'GET, HEAD', () => this.#ready());
    const known = guard.knows(request);
    if (!(known ? rate : strangers).take())
      throw new Refused(429, 'too-many-requests', 'too many requests at once', { 'retry-after': '1' });
    if (url.pathname === '/') {
      guard.checkName(request);
      if (page === null) throw notFound();
      return mustRead(reads, 'GET, HEAD', () => page.reply());
    }
    guard.checkName(request);
    guard.checkSite(request);
    if (!known) throw guard.stranger(request);
    const action = /^\/api\/(.+)$/u.exec(url.pathname)?.[1] ?? '';
    const view = this.#views.get(url.pathname);
    const acts = Object.hasOwn(actions, action);
    if (method === 'POST' && acts) return this.#act(action, request);
    if (url.pathname === '/api/events') {
      if (method !== 'GET') throw wrongMethod('GET');
      events.join(response);
      return null;
    }
    if (view === undefined && !acts) throw notFound();
    if (view === undefined || !reads)
      throw wrongMethod([...(view === undefined ? [] : ['GET', 'HEAD']), ...(acts ? ['POST'] : [])].join(', '));
    return view(request, url);
  }

  readonly #views: ReadonlyMap<string, View> = new Map<string, View>([
    ['/metrics', () => this.#metrics()],
    ['/api/status', () => json(this.#parts.status())],
    ['/api/history', () => json(this.#parts.history.read())],
    ['/api/limits', () => json({ limits: this.#parts.subject.limits })],
    ['/api/connections', (_, url) => this.#connections(url)],
    ['/api/audit', () => json({ total: this.#parts.audit.total, entries: this.#parts.audit.entries })],
  ]);

  #ready(): Reply {
    const { ready, state } = this.#parts.subject;
    return ready ? line('ready') : line(`not ready: ${state}`, 503);
  }

  async #metrics(): Promise<Reply> {
    const { metrics } = this.#parts;
    if (metrics === null) throw notFound();
    return { status: 200, type: metrics.contentType, body: await metrics.text() };
  }

  async #connections(url: URL): Promise<Reply> {
    const query = readQuery(url.searchParams);
    const { connections, ...rest } = pageOf(await this.#parts.list.read(), query);
    return json({ ...rest, connections: connections.map((one) => connectionJson(one)) });
  }

  async #act(name: string, request: IncomingMessage): Promise<Reply> {
    const { audit, clock, guard, subject, list } = this.#parts;
    // One who is gone already when it is done has no name any more.
    const peer = guard.peerOf(request);
    const asked = await readBody(request);
    const who = { at: clock.wall(), peer, token: guard.asks, action: name, asked: inShort(asked) };
    try {
      const { reply, told } = await this.#alone(name, async () => actions[name]!(asked, { subject, list }));
      audit.add({ ...who, result: 'done', told });
      return reply;
    } catch (error) {
      // Told to who asked, and to the log: the endpoint itself is well.
      audit.add({ ...who, result: 'refused', told: failureOf(error).error.message });
      return failure(error);
    }
  }

  /** Workers are exchanged by one at a time. */
  async #alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (name !== 'reload' && name !== 'resize') return work();
    if (this.#exchanging) throw new Refused(409, 'ERR_PORTSIDE_STATE', 'workers are being exchanged already');
    this.#exchanging = true;
    try {
      return await work();
    } finally {
      this.#exchanging = false;
    }
  }
}

function mustRead<T>(reads: boolean, allowed: string, reply: () => T): T {
  if (!reads) throw wrongMethod(allowed);
  return reply();
}

function mustBeBare({ headers }: IncomingMessage): void {
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return;
  throw new Refused(413, 'too-large', 'a request that only asks has no body');
}

function notFound(): Refused {
  return new Refused(404, 'not-found', 'there is no such thing here');
}

function wrongMethod(allow: string): Refused {
  return new Refused(405, 'method-not-allowed', `that is for ${allow}`, { allow });
}

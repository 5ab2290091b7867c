import assert from 'node:assert/strict';
import { request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { afterEach, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ErrorJson } from '../../src/ops/admin-reply.ts';
import type { ConnectionJson, LimitsJson, StatusJson, TickJson } from '../../src/ops/admin-status.ts';
import type { AuditEntry } from '../../src/ops/audit.ts';
import type { DrainProgress } from '../../src/ops/drain-progress.ts';
import { startAdmin } from '../../src/ops/admin.ts';
import type { Admin, AdminOptions } from '../../src/ops/admin.ts';
import { subjectOf } from '../../src/ops/subject.ts';
import type { Subject } from '../../src/ops/subject.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import { startParallel } from '../../src/parallel/start-parallel.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { anyWay } from '../parallel/support.ts';
import { endAll } from '../support/nets.ts';

/** What ends with the test, the last first. */
const owned: (() => Promise<unknown>)[] = [];

/** Has something done when the test is over. */
export function atEnd(what: () => Promise<unknown>): void {
  owned.push(what);
}

/** To be called once in each file that uses stands. */
export function endsItsStands(): void {
  afterEach(async () => {
    for (const end of owned.splice(0).toReversed()) await end();
  });
}

/** Everything that answers have; each has some of it. */
export interface AnswerJson extends Omit<StatusJson, 'drain' | 'limits'> {
  readonly drain: DrainProgress & { readonly deadline: number };
  readonly limits: LimitsJson & { readonly deadlines: NonNullable<LimitsJson['deadlines']> };
  readonly error: ErrorJson['error'] & { readonly problems: NonNullable<ErrorJson['error']['problems']> };
  readonly total: number;
  readonly matched: number;
  readonly offset: number;
  readonly connections: readonly ConnectionJson[];
  readonly entries: readonly AuditEntry[];
}

/** Everything that events have; each has some of it. */
export interface EventJson extends TickJson, DrainProgress, Pick<AuditEntry, 'action' | 'result'> {
  readonly closed: number;
  readonly before: string;
  readonly message: string;
  readonly code: string | null;
  readonly worker: number | null;
}

/** An answer to a request. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The text as JSON. */
  readonly json: AnswerJson;
}

/** What a request has beside its path. */
export interface Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A server with an admin endpoint. */
export class Stand<S extends Server | ParallelServer = Server | ParallelServer> {
  readonly server: S;
  readonly admin: Admin;

  constructor(server: S, admin: Admin) {
    this.server = server;
    this.admin = admin;
  }

  /** The port of the admin endpoint. */
  get port(): number {
    const { address } = this.admin;
    return 'port' in address ? address.port : 0;
  }

  /** Begins a request, and gives its answer as soon as its headers are there. */
  begin(path: string, { method = 'GET', headers = {}, body }: Request = {}): Promise<IncomingMessage> {
    const { address } = this.admin;
    const place = address.family === 'unix' ? { socketPath: address.path } : { host: '127.0.0.1', port: this.port };
    return new Promise((resolve, reject) => {
      const asked = request({ ...place, path, method, headers: { ...headers }, agent: false }, resolve);
      asked.on('error', reject);
      asked.end(body);
    });
  }

  async ask(path: string, options: Request = {}): Promise<Answer> {
    const response = await this.begin(path, options);
    let text = '';
    response.setEncoding('utf8');
    for await (const part of response as AsyncIterable<string>) text += part;
    const { statusCode: status = 0, headers } = response;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status, headers, text, json: json as AnswerJson };
  }

  /** Does an action. */
  act(action: string, body: unknown = {}, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.ask(`/api/${action}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: text,
    });
  }

  /** One more client of the server; it ends with the test. */
  async dial(): Promise<Connection> {
    const [address] = this.server.addresses;
    assert.ok(address !== undefined && 'port' in address);
    const client = await connect({ host: address.host, port: address.port }, { transport: nodeTransport });
    atEnd(() => endAll(client));
    return client;
  }
}

const echo = async (conn: Connection): Promise<void> => {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line === 'draining') conn.busy = true;
    if (line === 'fail') throw new Error('asked to fail\nwith a second line');
    await conn.write(`${line}\n`);
  }
};

/** A server on one thread that sends lines back, with an admin endpoint. */
export async function standOne(options: ServerOptions = {}, admin: Partial<AdminOptions> = {}): Promise<Stand<Server>> {
  const server = await serve(echo, { port: 0, host: '127.0.0.1', transport: nodeTransport, ...options });
  return standOn(server, admin);
}

/** The same over two workers. */
export async function standTwo(
  options: ParallelOptions = {},
  admin: Partial<AdminOptions> = {},
): Promise<Stand<ParallelServer>> {
  const module = new URL('../parallel/workers/commands.ts', import.meta.url);
  const place = { port: 0, host: '127.0.0.1', parallelism: 2, restart: { delay: 10 } } as const;
  const server = await startParallel(module, { ...place, ...anyWay.options, ...options });
  return standOn(server, admin);
}

/** An admin endpoint on a server, which ends with the test. */
export async function standOn<S extends Server | ParallelServer>(
  server: S,
  options: Partial<AdminOptions> = {},
  upgrade?: Subject['upgrade'],
): Promise<Stand<S>> {
  atEnd(() => server.stop({ grace: 0 }));
  const admin = await startAdmin(subjectOf(server, { name: 'echo.ts', upgrade }), { listen: ':0', ...options });
  atEnd(() => admin.close());
  return new Stand(server, admin);
}

/** Describes a promise for a server on one thread, and for one over workers. */
export function onEachKind(
  promise: string,
  tests: (stand: (admin?: Partial<AdminOptions>) => Promise<Stand>, parallel: boolean) => void,
): void {
  describe(`${promise} (one thread)`, () => tests((admin) => standOne({}, admin), false));
  describe(`${promise} (workers)`, () => tests((admin) => standTwo({}, admin), true));
}

/** Sends a line, and waits for one. */
export async function say(client: Connection, line: string): Promise<string | null> {
  await client.write(`${line}\n`);
  return client.readLine({ timeout: 20_000 });
}

/** Waits until something is true; the runner's time limit ends it. */
export async function eventually(met: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await met())) await sleep(5);
}

/** One of the events of a stream. */
export interface Seen {
  readonly event: string;
  readonly data: EventJson;
}

/** Watches the events of an admin endpoint. */
export class Watching {
  readonly seen: Seen[] = [];
  readonly response: IncomingMessage;
  ended = false;

  private constructor(response: IncomingMessage) {
    this.response = response;
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => {
      text += part;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const block = text.slice(0, end);
        text = text.slice(end + 2);
        const event = /^event: (.*)$/mu.exec(block)?.[1];
        const data = /^data: (.*)$/mu.exec(block)?.[1];
        if (event !== undefined && data !== undefined) this.seen.push({ event, data: JSON.parse(data) as EventJson });
      }
    });
    response.on('error', () => {});
    response.on('close', () => {
      this.ended = true;
    });
  }

  static async of(stand: Stand, headers: Readonly<Record<string, string>> = {}): Promise<Watching> {
    const response = await stand.begin('/api/events', { headers });
    assert.equal(response.statusCode, 200);
    atEnd(async () => response.destroy());
    return new Watching(response);
  }

  of(event: string): readonly EventJson[] {
    return this.seen.filter((one) => one.event === event).map(({ data }) => data);
  }

  /** The first event of a kind that is like this. */
  async until(event: string, like: (data: EventJson) => boolean = () => true): Promise<EventJson> {
    await eventually(() => this.of(event).some(like));
    return this.of(event).find(like)!;
  }
}

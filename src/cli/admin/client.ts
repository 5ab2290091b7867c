import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { PortsideError, isPortsideError, systemCode } from '../../base/errors.ts';
import { systemError } from '../../transport/system-error.ts';
import { printable } from '../connect/printable.ts';
import { placeText } from './endpoint.ts';
import type { AdminPlace } from './endpoint.ts';

/** Nobody answers at an admin endpoint. */
export class AdminUnreached extends PortsideError {}

/** What is asked may not be done, or can't; `code` and `message` are as the server tells them. */
export class AdminRefused extends PortsideError {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(code, message, { op: 'admin' });
    this.status = status;
  }
}

/** One event of `/api/events`. */
export interface WatchedEvent {
  readonly event: string;
  readonly data: unknown;
}

/** Milliseconds without a byte after which an answer is not waited for any more, where the server has no limit of its own. */
const PATIENCE = 120_000;
/** Bytes of one answer, at most. */
const MOST = 64 * 1_048_576;
/** Characters of one event, at most; a server keeps less for who watches. */
const MOST_OF_EVENT = 1_048_576;

/** Asks one admin endpoint. */
export class AdminClient {
  readonly place: AdminPlace;
  readonly #token: string | null;

  constructor(place: AdminPlace, token: string | null) {
    this.place = place;
    this.#token = token;
  }

  /** Rejects with {@link AdminUnreached} or {@link AdminRefused}, and with the system's code when the answer breaks off. */
  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#answer<T>(await this.#ask('GET', path, null, PATIENCE, signal));
  }

  /** As {@link AdminClient.get}, for an action. `patience`: milliseconds; `Infinity` for what takes as long as the server was told that it may. */
  async post<T>(
    path: string,
    body: Readonly<Record<string, unknown>> = {},
    signal?: AbortSignal,
    patience: number = PATIENCE,
  ): Promise<T> {
    return this.#answer<T>(await this.#ask('POST', path, JSON.stringify(body), patience, signal));
  }

  /** What happens from now on, until the server ends it, or the iteration is left. */
  async *events(signal?: AbortSignal): AsyncGenerator<WatchedEvent, void, undefined> {
    const response = await this.#ask('GET', '/api/events', null, PATIENCE, signal);
    if (response.statusCode !== 200) await this.#answer(response);
    response.setEncoding('utf8');
    let text = '';
    try {
      for await (const part of response as AsyncIterable<string>) {
        text += part;
        if (text.length > MOST_OF_EVENT)
          throw new AdminRefused(200, 'too-large', 'an event of the admin endpoint is too large');
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const event = eventOf(text.slice(0, end));
          text = text.slice(end + 2);
          if (event !== null) yield event;
        }
      }
    } catch (error) {
      // Its process may end before it has said goodbye.
      if (systemCode(error) !== 'ECONNRESET' && signal?.aborted !== true) throw error;
    } finally {
      response.destroy();
    }
  }

  #ask(
    method: string,
    path: string,
    body: string | null,
    patience: number,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const { place } = this;
    const where = place.kind === 'unix' ? { socketPath: place.path } : { host: place.host, port: place.port };
    const headers: Record<string, string> = { accept: 'application/json' };
    if (place.kind === 'unix') headers['host'] = 'localhost';
    if (this.#token !== null) headers['authorization'] = `Bearer ${this.#token}`;
    if (body !== null) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(Buffer.byteLength(body));
    }
    return new Promise((resolve, reject) => {
      const timeout = patience === Infinity ? undefined : patience;
      const asked = request({ ...where, method, path, headers, agent: false, signal, timeout }, resolve);
      asked.on('timeout', () => asked.destroy(new PortsideError('ETIMEDOUT', 'it did not answer in time')));
      asked.on('error', (error) => reject(this.#unreached(error)));
      asked.end(body ?? undefined);
    });
  }

  async #answer<T>(response: IncomingMessage): Promise<T> {
    const { statusCode = 0 } = response;
    const value = parsed((await this.#body(response)).toString('utf8'));
    if (statusCode >= 200 && statusCode < 300 && value !== undefined) return value as T;
    const { code, message } = (value as { error?: { code?: unknown; message?: unknown } } | undefined)?.error ?? {};
    if (typeof code !== 'string' || typeof message !== 'string')
      throw new AdminRefused(statusCode, 'no-admin', `${placeText(this.place)} is no admin endpoint of Portside`);
    // Whoever it is that answers.
    throw new AdminRefused(statusCode, code, printable(message));
  }

  async #body(response: IncomingMessage): Promise<Buffer> {
    const parts: Buffer[] = [];
    let length = 0;
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        length += part.length;
        if (length > MOST)
          throw new AdminRefused(
            response.statusCode ?? 0,
            'too-large',
            'the answer of the admin endpoint is too large',
          );
        parts.push(part);
      }
    } catch (error) {
      if (isPortsideError(error)) throw error;
      const remote = placeText(this.place);
      const message = `${remote} broke off in the middle of its answer`;
      throw new PortsideError(systemCode(error) ?? 'ECONNRESET', message, { op: 'admin', remote, cause: error });
    }
    return Buffer.concat(parts);
  }

  #unreached(error: Error): Error {
    const remote = placeText(this.place);
    const code = systemCode(error) ?? '';
    if (code.startsWith('HPE_'))
      return new AdminRefused(0, 'no-admin', `${remote} is no admin endpoint of Portside: it does not speak HTTP`);
    const { message } = systemError('connect', error, { remote });
    return new AdminUnreached(code === '' ? 'ECONNREFUSED' : code, message, { op: 'connect', remote, cause: error });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Null for what is no event: the time to wait before coming again. */
function eventOf(block: string): WatchedEvent | null {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const [, name = '', value = ''] = /^(\w+): ?(.*)$/u.exec(line) ?? [];
    if (name === 'event') event = value;
    if (name === 'data') data.push(value);
  }
  return data.length === 0 ? null : { event, data: parsed(data.join('\n')) };
}

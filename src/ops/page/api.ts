import type { ErrorJson } from '../admin-reply.ts';

/** Milliseconds that an answer may take. */
const PATIENCE = 10_000;
/** Workers are exchanged in their own time. */
const LONG_PATIENCE = 120_000;
const KEPT_AS = 'portside-token';

/** What an admin endpoint answered instead of what was asked for; status 0: there was no answer. */
export class Unanswered extends Error {
  readonly status: number;
  readonly problems: readonly { readonly path: string; readonly message: string }[];

  constructor(status: number, message: string, problems: Unanswered['problems'] = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** Asks the endpoint that the page came from. The token goes in a header and is kept by the tab alone. */
export class Api {
  #token: string | null = keptToken();

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** Null forgets it. */
  use(token: string | null): void {
    this.#token = token;
    try {
      if (token === null) sessionStorage.removeItem(KEPT_AS);
      else sessionStorage.setItem(KEPT_AS, token);
    } catch {
      // Where nothing may be kept it lasts as long as the page.
    }
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await (await this.#ask(path, {}, PATIENCE, signal)).json()) as T;
  }

  async act<T>(action: string, body: unknown = {}): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify(body) };
    return (await (await this.#ask(`/api/${action}`, request, LONG_PATIENCE)).json()) as T;
  }

  /** A response that goes on and on. */
  async stream(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const { body } = await this.#ask(path, { headers: { accept: 'text/event-stream' } }, null, signal);
    if (body === null) throw new Unanswered(0, 'the answer is empty');
    return body;
  }

  async #ask(path: string, request: RequestInit, patience: number | null, signal?: AbortSignal): Promise<Response> {
    const headers = new Headers(request.headers);
    try {
      if (this.#token !== null) headers.set('authorization', `Bearer ${this.#token}`);
    } catch {
      // No header can have it: it is nobody's token.
      throw new Unanswered(401, 'that is no token');
    }
    const signals = [signal, patience === null ? undefined : AbortSignal.timeout(patience)];
    const until = AbortSignal.any(signals.filter((each) => each !== undefined));
    let response: Response;
    try {
      response = await fetch(path, {
        ...request,
        headers,
        signal: until,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
    } catch (error) {
      const late = error instanceof DOMException && error.name === 'TimeoutError';
      throw new Unanswered(0, late ? 'the server did not answer in time' : 'the server can’t be reached');
    }
    if (!response.ok) throw await unanswered(response);
    return response;
  }
}

async function unanswered(response: Response): Promise<Unanswered> {
  try {
    const { error } = (await response.json()) as ErrorJson;
    return new Unanswered(response.status, error.message, error.problems ?? []);
  } catch {
    return new Unanswered(response.status, `the answer was ${response.status} ${response.statusText}`);
  }
}

function keptToken(): string | null {
  try {
    return sessionStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

/** Why something did not work, in words. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import type { ServerResponse } from 'node:http';
import { isPortsideError, systemCode } from '../base/errors.ts';
import { OptionsError } from '../base/options.ts';
import type { Problem } from '../base/options.ts';
import { withoutSecrets } from '../server/log-text.ts';

/** What is answered to one request. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The connection is not to be used again. */
  readonly last?: boolean | undefined;
}

/** An answer as JSON. */
export function json(value: unknown, status = 200): Reply {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

/** An answer in one line of text. */
export function line(text: string, status = 200): Reply {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` };
}

/** Why a request is not done. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** `{ error: { code, message, problems? } }` */
export interface ErrorJson {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly problems?: readonly Problem[] | undefined;
  };
}

/** What does not fit what the server is or can, and what is wrong with what was asked for; all else is ours. */
const STATUSES: Readonly<Record<string, number>> = {
  ERR_PORTSIDE_OPTIONS: 400,
  ERR_PORTSIDE_STATE: 409,
  ERR_PORTSIDE_UNSUPPORTED: 409,
  ERR_PORTSIDE_WORKER: 409,
  ERR_PORTSIDE_TIMEOUT: 409,
  ERR_PORTSIDE_MODULE: 409,
  ERR_PORTSIDE_HANDLER: 409,
  ERR_PORTSIDE_CERTIFICATE: 409,
};

/** Characters of a message that are read, and told. */
const MOST_READ = 65_536;
const MOST_TOLD = 500;

/** Why something was not done. */
interface Failure extends Omit<Reply, 'type' | 'body'> {
  readonly error: ErrorJson['error'];
}

/** What is answered instead of what was asked for. */
export function failure(thrown: unknown): Reply {
  const { error, status, ...rest } = failureOf(thrown);
  return { ...json({ error } satisfies ErrorJson, status), ...rest };
}

/** The code and the words for what was thrown, and the status that it is answered with. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof Refused) {
    const { status, code, message, headers } = thrown;
    return { status, error: { code, message }, headers, last: status === 413 || status === 429 };
  }
  if (thrown instanceof OptionsError) {
    const problems = thrown.problems.map(({ path, message }) => ({ path: path.replace(/^options\.?/u, ''), message }));
    const message = problems.map((one) => (one.path === '' ? one.message : `${one.path} ${one.message}`)).join('; ');
    return { status: 400, error: { code: thrown.code, message, problems } };
  }
  const code = systemCode(thrown) ?? 'failed';
  const status = isPortsideError(thrown) ? (STATUSES[code] ?? 500) : 500;
  return { status, error: { code, message: firstLine(thrown) } };
}

/** The first line of what was thrown, short and without secrets. */
export function firstLine(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'something that is no error was thrown';
  return lineOf(thrown.message);
}

/** The first line of a text, short and without secrets. Who shows it has to make it visible. */
export function lineOf(text: string): string {
  const [line = ''] = text.slice(0, MOST_READ).split('\n', 1);
  return withoutSecrets(line).slice(0, MOST_TOLD);
}

/** On every answer: nothing is kept, guessed at, framed, or shown to other sites. */
export const GUARDS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** Answers. To HEAD with all but the body. */
export function send(response: ServerResponse, { status, type, body, headers, last }: Reply, head: boolean): void {
  if (response.headersSent || response.destroyed) return;
  const length = Buffer.byteLength(body);
  if (last === true) response.shouldKeepAlive = false;
  response.writeHead(status, { ...GUARDS, 'content-type': type, 'content-length': length, ...headers });
  response.end(head ? undefined : body);
}

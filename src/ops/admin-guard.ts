import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AddressList } from '../net/address-list.ts';
import { formatAddress, tcpAddress } from '../transport/address.ts';
import { Refused } from './admin-reply.ts';

const loopback = new AddressList(['loopback']);

/** Whether a numeric address is this machine's own. */
export function isLoopback(host: string): boolean {
  return loopback.has(host);
}

/** Who may ask. */
export interface GuardOptions {
  /** What has to be shown; null: nothing. */
  readonly token: string | null;
  /** Names by which it is asked for, beside those of loopback and the address itself. */
  readonly names: readonly string[];
  /** By a Unix domain socket, which no browser reaches. */
  readonly unix: boolean;
}

/** Decides who may ask an admin endpoint. */
export class AdminGuard {
  readonly #token: Buffer | null;
  readonly #names: ReadonlySet<string>;
  readonly #unix: boolean;

  constructor({ token, names, unix }: GuardOptions) {
    this.#token = token === null ? null : digest(token);
    this.#names = new Set(names.map((name) => name.toLowerCase()));
    this.#unix = unix;
  }

  /** That the name that a request was sent to is one of ours, which a name that somebody made to lead here is not (DNS rebinding). Throws a {@link Refused}. */
  checkName({ headers, socket }: IncomingMessage): void {
    if (this.#unix || this.#isOurs(headers.host ?? '', socket.localAddress)) return;
    throw new Refused(403, 'forbidden-host', 'the endpoint does not go by the name in the Host header');
  }

  /** That a request comes from no page of another site, by what browsers tell. Throws a {@link Refused}. */
  checkSite({ headers }: IncomingMessage): void {
    const { host, origin } = headers;
    if (origin !== undefined && !sameHost(origin, host ?? ''))
      throw new Refused(403, 'forbidden-origin', 'pages of other sites may not ask here');
    const site = headers['sec-fetch-site'];
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      throw new Refused(403, 'forbidden-origin', 'pages of other sites may not ask here');
  }

  /** Whether the token is shown, or there is none. */
  knows({ headers }: IncomingMessage): boolean {
    if (this.#token === null) return true;
    const [, shown = ''] = /^bearer +([\x21-\x7e]+) *$/iu.exec(headers.authorization ?? '') ?? [];
    // Digests have one length, so that the comparison tells nothing of the token's.
    return shown !== '' && timingSafeEqual(digest(shown), this.#token);
  }

  /** What those are told who don't show it. */
  stranger({ headers }: IncomingMessage): Refused {
    const why = headers.authorization === undefined ? 'the token is missing' : 'the token is wrong';
    return new Refused(401, 'unauthorized', `${why}: Authorization: Bearer …`, { 'www-authenticate': 'Bearer' });
  }

  /** Who asks, for the log. */
  peerOf({ socket }: IncomingMessage): string {
    if (this.#unix) return 'unix';
    const { remoteAddress: host = 'unknown', remotePort: port = 0 } = socket;
    return formatAddress(tcpAddress(host, port));
  }

  /** Whether a token has to be shown. */
  get asks(): boolean {
    return this.#token !== null;
  }

  #isOurs(host: string, local: string | undefined): boolean {
    const name = nameOf(host);
    if (name === null) return false;
    if (name === 'localhost' || name.endsWith('.localhost') || isLoopback(name) || this.#names.has(name)) return true;
    return local !== undefined && name === tcpAddress(local, 0).host.toLowerCase();
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The name in `name:port` and `[::1]:port`, in small letters; null for what is no such thing. */
function nameOf(host: string): string | null {
  const [, name, bracketed] = /^(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::\d{1,5})?$/iu.exec(host) ?? [];
  return (name ?? bracketed)?.toLowerCase() ?? null;
}

/** Whether an origin is what the request was sent to. A proxy in front may speak TLS. */
function sameHost(origin: string, host: string): boolean {
  const [, of] = /^https?:\/\/([^/]+)$/iu.exec(origin) ?? [];
  return of !== undefined && of.toLowerCase() === host.toLowerCase();
}

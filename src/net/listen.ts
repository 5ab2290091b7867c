import { PortsideError } from '../base/errors.ts';
import { boolean, check, integer, string, table, that, union } from '../base/options.ts';
import { currentScope } from '../sync/scope.ts';
import type { Acceptor, BindOptions, Transport } from '../transport/contract.ts';
import { TlsServerContext } from '../transport/tls/context.ts';
import { tlsServerRule } from '../transport/tls/server-options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { bindAnew } from './bind.ts';
import type { Bound } from './bind.ts';
import { tlsReloadChannel } from './channels.ts';
import { formatEndpoint, parseEndpoint } from './endpoint.ts';
import type { Endpoint, EndpointLike } from './endpoint.ts';
import { listenHanded, takeHanded } from './handed.ts';
import { openListener } from './listener.ts';
import type { Listener } from './listener.ts';
import { familiesRule, settingsFields, signalRule, transportRule } from './option-rules.ts';
import type { FieldsFor } from './option-rules.ts';
import type { OpeningSettings } from './opening.ts';
import { compileProxy, proxyRule } from './proxy-in.ts';
import type { ProxyOptions } from './proxy-in.ts';
import { connectionSettings } from './settings.ts';
import type { ConnectionOptions } from './settings.ts';
import { transportFor } from './transports.ts';
import type { TransportChoice } from './transports.ts';
import { applyUnixMode } from './unix-path.ts';
import { serverContext } from './upgrade-tls.ts';

/** Options of {@link listen}: one of `endpoint`, `port` (with `host`), `path` and `fd`, and how. */
export interface ListenOptions extends ConnectionOptions {
  /** Where, as a string or an object; instead of it, `port` and `host`, `path`, or `fd`. */
  endpoint?: EndpointLike | undefined;
  /** A number, digits or a service name; 0 lets the system choose, one number for all addresses. */
  port?: number | string | undefined;
  /** A name or an address; all addresses of a name are bound. @default every address */
  host?: string | undefined;
  /** The path of a Unix domain socket. */
  path?: string | undefined;
  /** A descriptor that listens already. */
  fd?: number | undefined;
  /** Connections that may wait unaccepted; the system may cap it (net.core.somaxconn). @default 511 */
  backlog?: number | undefined;
  /** Which families are bound. A family that the machine lacks is skipped while another is left. @default both */
  families?: readonly ('ipv4' | 'ipv6')[] | undefined;
  /** For every address: IPv6 without IPv4. @default false */
  ipv6Only?: boolean | undefined;
  /** SO_REUSEADDR. A transport that can't choose refuses `false` with ERR_PORTSIDE_UNSUPPORTED. @default true */
  reuse?: boolean | undefined;
  /** SO_REUSEPORT: share the port with others that say so too. @default false */
  reusePort?: boolean | undefined;
  /** The permissions of a Unix domain socket, as in 0o660. @default the process's umask decides */
  mode?: number | undefined;
  /**
   * Certificates and the rest for TLS. Connections begin with its handshake, except on an endpoint that says `tcp://`, where they begin in the clear and
   * `upgradeTls()` is for STARTTLS. An endpoint that says `tls://` needs it.
   */
  tls?: TlsServerOptions | TlsServerContext | undefined;
  /** Reads a PROXY header first, from those who may send one. */
  proxy?: ProxyOptions | undefined;
  /** What carries the bytes. @default 'auto' */
  transport?: TransportChoice | undefined;
  /** Calls it off; what was bound by then is closed. */
  signal?: AbortSignal | undefined;
}

/** The rules of {@link ListenOptions}, for what takes them too. */
export const listenFields: FieldsFor<ListenOptions> = {
  ...settingsFields,
  endpoint: that<EndpointLike>('an endpoint', (value) => ['string', 'number', 'object'].includes(typeof value)),
  port: union(integer({ min: 0, max: 65_535 }), string()),
  host: string(),
  path: string(),
  fd: integer({ min: 0 }),
  backlog: integer({ min: 1, max: 65_535 }),
  families: familiesRule,
  ipv6Only: boolean(),
  reuse: boolean(),
  reusePort: boolean(),
  mode: integer({ min: 0, max: 0o777 }),
  tls: union(
    that<TlsServerContext>('a TlsServerContext', (value) => value instanceof TlsServerContext),
    tlsServerRule,
  ),
  proxy: proxyRule,
  transport: transportRule,
  signal: signalRule,
};

const listenTable = table('listen', listenFields);

/**
 * Binds and listens; resolves when bound. All addresses that `host` stands for are bound, or none.
 *
 * Rejects with a {@link PortsideError}: the system's code (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`, …) with a sentence that says what to
 * do, ERR_PORTSIDE_OPTIONS with all that is wrong with the options, ERR_PORTSIDE_ENDPOINT, ERR_PORTSIDE_GUARD, ERR_PORTSIDE_UNSUPPORTED, or `signal.reason`.
 * The listener belongs to the scope that is current now.
 */
export async function listen(where: string | number | ListenOptions, more?: ListenOptions): Promise<Listener> {
  const given: ListenOptions = typeof where === 'object' ? { ...where, ...more } : { ...more, endpoint: where };
  const options: ListenOptions = check(listenTable, given);
  const endpoint = listenEndpoint(options);
  const transport = transportFor(options.transport);
  const scope = currentScope();
  options.signal?.throwIfAborted();
  if (endpoint.kind === 'tcp' || endpoint.kind === 'tls')
    scope?.check({ op: 'listen', role: 'server', host: endpoint.host ?? '::', port: endpoint.port });
  else scope?.check({ op: 'listen', role: 'server', host: formatEndpoint(endpoint), port: undefined });

  const backlog = options.backlog ?? 511;
  const opening = await openingSettings(endpoint, options);
  const settings = connectionSettings(options, 'server', opening);
  const bind: BindOptions = {
    backlog,
    reusePort: options.reusePort ?? false,
    reuseAddress: options.reuse,
    tuning: settings,
  };
  // What was made here ends here; a context that was given is its maker's.
  const forget = (): void => {
    if (opening !== null && opening.tls !== options.tls) opening.tls?.close();
  };
  let bound: Bound;
  try {
    bound = await bindEndpoint(endpoint, options, transport, bind);
  } catch (error) {
    forget();
    throw error;
  }
  const { acceptors } = bound;
  const cleanup = (): void => {
    bound.cleanup();
    forget();
  };
  if (options.signal?.aborted === true) {
    for (const acceptor of acceptors) acceptor.close();
    cleanup();
    throw options.signal.reason;
  }
  const listener = openListener({ acceptors, backlog, settings, cleanup }, scope);
  if (opening !== null && opening.tls !== null && opening.tls !== options.tls) {
    opening.tls.onReload = (error) => {
      if (tlsReloadChannel.hasSubscribers) tlsReloadChannel.publish({ listener, error });
    };
  }
  return listener;
}

/** A listener over sockets that are bound already, with what `options` say of connections; `secure`: they begin with the handshake of TLS. */
export async function listenOver(
  acceptors: readonly Acceptor[],
  options: ListenOptions,
  secure: boolean,
): Promise<Listener> {
  const given = options.tls;
  const tls = given === undefined ? null : await serverContext(given);
  const proxy = options.proxy === undefined ? null : compileProxy(options.proxy);
  const opening: OpeningSettings | null =
    tls === null && proxy === null ? null : { proxy, tls, atOnce: secure && tls !== null, admit: null };
  const settings = connectionSettings(options, 'server', opening);
  const cleanup = (): void => {
    if (tls !== null && tls !== given) tls.close();
  };
  return openListener({ acceptors, backlog: options.backlog ?? 511, settings, cleanup }, currentScope());
}

/** The endpoint that listen options name. */
export function listenEndpoint(options: ListenOptions): Endpoint {
  const { endpoint, port, host, path, fd } = options;
  const ways = [endpoint, path, fd, port].filter((way) => way !== undefined).length;
  if (ways !== 1 || (host !== undefined && port === undefined)) {
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', 'listen: give one of endpoint, port (with host), path, and fd', {
      op: 'listen',
    });
  }
  if (endpoint !== undefined) return parseEndpoint(endpoint, 'server');
  if (path !== undefined) return parseEndpoint({ path }, 'server');
  if (fd !== undefined) return parseEndpoint({ fd }, 'server');
  return parseEndpoint({ port: port!, host }, 'server');
}

/** The handshakes that connections to an endpoint begin with, or may be asked for. */
async function openingSettings(endpoint: Endpoint, options: ListenOptions): Promise<OpeningSettings | null> {
  const { tls: given, proxy: from, endpoint: written } = options;
  const local = formatEndpoint(endpoint);
  if (endpoint.kind === 'tls' && given === undefined) {
    throw new PortsideError(
      'ERR_PORTSIDE_CERTIFICATE',
      `can't listen on ${local}: TLS needs a certificate and its key; give tls: { cert, key }`,
      { op: 'listen', local },
    );
  }
  if (given === undefined && from === undefined) return null;
  const tls = given === undefined ? null : await serverContext(given);
  const proxy = from === undefined ? null : compileProxy(from);
  return { proxy, tls, atOnce: tls !== null && !saysTcp(written), admit: null };
}

/** Whether an endpoint says in so many words that it is TCP, in the clear. */
export function saysTcp(endpoint: EndpointLike | undefined): boolean {
  if (typeof endpoint === 'string') return /^tcp:/iu.test(endpoint);
  return typeof endpoint === 'object' && 'kind' in endpoint && endpoint.kind === 'tcp';
}

/** Binds an endpoint, or takes the sockets that this process was started with for it. */
async function bindEndpoint(
  endpoint: Endpoint,
  options: ListenOptions,
  transport: Transport,
  bind: BindOptions,
): Promise<Bound> {
  const { families, ipv6Only, mode } = options;
  const handed = transport.flags.descriptors ? takeHanded('serve', { endpoint, families, ipv6Only }) : null;
  if (handed === null) return bindAnew(endpoint, options, transport, bind);
  if (mode !== undefined && endpoint.kind === 'unix' && !endpoint.path.startsWith('\0'))
    applyUnixMode(endpoint.path, mode);
  return { acceptors: await listenHanded(handed, transport, bind), cleanup: () => {} };
}

import { PortsideError, systemCode } from '../base/errors.ts';
import { boolean, check, integer, string, table, that, union } from '../base/options.ts';
import { currentScope } from '../sync/scope.ts';
import type { Acceptor, BindOptions, BindTarget, Transport } from '../transport/contract.ts';
import { TlsServerContext } from '../transport/tls/context.ts';
import { tlsServerRule } from '../transport/tls/server-options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { tlsReloadChannel } from './channels.ts';
import { formatEndpoint, parseEndpoint } from './endpoint.ts';
import type { Endpoint, EndpointLike } from './endpoint.ts';
import { openListener } from './listener.ts';
import type { Listener } from './listener.ts';
import { familiesRule, settingsFields, signalRule, transportRule } from './option-rules.ts';
import type { FieldsFor } from './option-rules.ts';
import type { OpeningSettings } from './opening.ts';
import { compileProxy, proxyRule } from './proxy-in.ts';
import type { ProxyOptions } from './proxy-in.ts';
import { resolveHost } from './resolve.ts';
import { connectionSettings } from './settings.ts';
import type { ConnectionOptions } from './settings.ts';
import { systemdDescriptor } from './systemd.ts';
import { transportFor } from './transports.ts';
import type { TransportChoice } from './transports.ts';
import { claimUnixPath } from './unix-path.ts';
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

/** How often another number is tried when port 0 gave one that is taken on a further address. */
const PORT_TRIES = 5;

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

interface Bound {
  readonly acceptors: readonly Acceptor[];
  readonly cleanup: () => void;
}

const nothing = (): void => {};

async function bindEndpoint(
  endpoint: Endpoint,
  options: ListenOptions,
  transport: Transport,
  bind: BindOptions,
): Promise<Bound> {
  switch (endpoint.kind) {
    case 'memory':
      if (!transport.flags.memory)
        throw unsupported(endpoint, `the transport "${transport.name}" has no memory sockets`);
      return { acceptors: [await transport.listen(endpoint, bind)], cleanup: nothing };
    case 'fd':
    case 'systemd': {
      if (!transport.flags.descriptors)
        throw unsupported(endpoint, `the transport "${transport.name}" takes no descriptors`);
      const fd = endpoint.kind === 'fd' ? endpoint.fd : systemdDescriptor(endpoint.name);
      return { acceptors: [await transport.listen({ kind: 'fd', fd }, bind)], cleanup: nothing };
    }
    case 'unix': {
      if (!transport.flags.unix)
        throw unsupported(endpoint, `the transport "${transport.name}" has no Unix domain sockets`);
      // A path is a name there; whatever file has that name is none of its business.
      if (transport.flags.memory) {
        if (options.mode !== undefined)
          throw unsupported(
            endpoint,
            `a path of the transport "${transport.name}" is no file and has no permissions; leave mode out`,
          );
        return { acceptors: [await transport.listen(endpoint, bind)], cleanup: nothing };
      }
      return claimUnixPath(endpoint.path, options.mode, transport, bind);
    }
    case 'tcp':
    case 'tls':
      return { acceptors: await bindTcp(endpoint.host, endpoint.port, options, transport, bind), cleanup: nothing };
  }
}

async function bindTcp(
  host: string | undefined,
  port: number,
  options: ListenOptions,
  transport: Transport,
  bind: BindOptions,
): Promise<Acceptor[]> {
  const families = options.families ?? ['ipv6', 'ipv4'];
  const both = families.includes('ipv4') && families.includes('ipv6');
  const ipv6Only = options.ipv6Only ?? false;
  if (host === undefined) {
    if (!families.includes('ipv6')) return bindAll([{ host: '0.0.0.0', ipv6Only: false }], port, transport, bind);
    try {
      return await bindAll([{ host: '::', ipv6Only: ipv6Only || !both }], port, transport, bind);
    } catch (error) {
      if (!both || ipv6Only || !lacksFamily(error)) throw error;
      return bindAll([{ host: '0.0.0.0', ipv6Only: false }], port, transport, bind);
    }
  }
  const addresses = await resolveHost(host, { families, role: 'server', signal: options.signal });
  const mixed = addresses.some(({ family }) => family === 'ipv4');
  const places = addresses.map((address) => ({
    host: address.host,
    ipv6Only: address.family === 'ipv6' && (mixed || ipv6Only || !both),
  }));
  return bindAll(places, port, transport, bind);
}

function lacksFamily(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' || code === 'EINVAL';
}

/** Binds all of the places on one port, or none. */
async function bindAll(
  places: readonly { readonly host: string; readonly ipv6Only: boolean }[],
  port: number,
  transport: Transport,
  bind: BindOptions,
): Promise<Acceptor[]> {
  for (let attempt = 1; ; attempt += 1) {
    const acceptors: Acceptor[] = [];
    let skipped: unknown = null;
    let number = port;
    try {
      for (const { host, ipv6Only } of places) {
        const target: BindTarget = { kind: 'tcp', host, port: number, ipv6Only };
        let acceptor: Acceptor;
        try {
          acceptor = await transport.listen(target, bind);
        } catch (error) {
          const family =
            systemCode(error) === 'EAFNOSUPPORT' || (systemCode(error) === 'EADDRNOTAVAIL' && host === '::1');
          if (!family || places.length === 1) throw error;
          skipped = error;
          continue;
        }
        acceptors.push(acceptor);
        if (number === 0 && 'port' in acceptor.address) number = acceptor.address.port;
      }
      if (acceptors.length === 0) throw skipped;
      return acceptors;
    } catch (error) {
      for (const acceptor of acceptors) acceptor.close();
      const again = port === 0 && acceptors.length > 0 && systemCode(error) === 'EADDRINUSE' && attempt < PORT_TRIES;
      if (!again) throw error;
    }
  }
}

function unsupported(endpoint: Endpoint, why: string): PortsideError {
  const local = formatEndpoint(endpoint);
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `can't listen on ${local}: ${why}`, { op: 'listen', local });
}

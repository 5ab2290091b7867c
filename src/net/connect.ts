import { check, integer, milliseconds, oneOf, table, that } from '../base/options.ts';
import { PortsideError } from '../base/errors.ts';
import type { Clock } from '../sync/clock.ts';
import { currentClock, currentScope } from '../sync/scope.ts';
import type { Channel, DialTarget, Transport } from '../transport/contract.ts';
import { isIP } from '../transport/ip.ts';
import { tlsClientRule } from '../transport/tls/client.ts';
import type { TlsClientOptions } from '../transport/tls/client.ts';
import { secureClient } from '../transport/tls/handshake.ts';
import type { Connection } from './connection.ts';
import { openConnection } from './open-connection.ts';
import { formatEndpoint, parseEndpoint } from './endpoint.ts';
import type { Endpoint, EndpointLike } from './endpoint.ts';
import { interleave, race } from './happy-eyeballs.ts';
import { HANDSHAKE_TIMEOUT } from './opening.ts';
import { familiesRule, settingsFields, signalRule, transportRule } from './option-rules.ts';
import type { FieldsFor } from './option-rules.ts';
import { proxyOutRule, proxyPreamble } from './proxy-out.ts';
import type { ProxyOutOptions } from './proxy-out.ts';
import { resolveHost } from './resolve.ts';
import { connectionSettings } from './settings.ts';
import type { ConnectionOptions } from './settings.ts';
import { transportFor } from './transports.ts';
import type { TransportChoice } from './transports.ts';
import { NO_OPTIONS } from './upgrade-tls.ts';

/** Options of {@link connect}. */
export interface ConnectOptions extends ConnectionOptions {
  /** Milliseconds for all of it, looking up the name included; then ERR_PORTSIDE_TIMEOUT. @default none */
  timeout?: number | undefined;
  /** Calls it off; a socket that comes late is closed. */
  signal?: AbortSignal | undefined;
  /**
   * How the addresses of a name are tried: `parallel` as Happy Eyeballs does (RFC 8305: families in turn, the next begins when the one before has failed or
   * `attemptDelay` is over, the first that answers wins), `sequential` one after another. @default 'parallel'
   */
  order?: 'parallel' | 'sequential' | undefined;
  /** Milliseconds before the next address is tried beside the one before. @default 250 */
  attemptDelay?: number | undefined;
  /** Which families of a name's addresses are tried. @default both */
  families?: readonly ('ipv4' | 'ipv6')[] | undefined;
  /** The local address, numeric; only remote addresses of its family are tried. */
  localHost?: string | undefined;
  /** The local port, with or without `localHost`. One port serves one attempt at a time, so the addresses of a name are tried one after another then. */
  localPort?: number | undefined;
  /** For TLS at once, which `tls://` begins with the defaults: what to trust, the name that the certificate has to be for, and the rest. */
  tls?: TlsClientOptions | undefined;
  /** The PROXY header that is sent first, for a server that believes this host. */
  proxy?: ProxyOutOptions | undefined;
  /** What carries the bytes. @default 'auto' */
  transport?: TransportChoice | undefined;
}

/** The rules of {@link ConnectOptions}, for what takes them too. */
export const connectFields: FieldsFor<ConnectOptions> = {
  ...settingsFields,
  timeout: milliseconds(),
  signal: signalRule,
  order: oneOf('parallel', 'sequential'),
  attemptDelay: milliseconds({ min: 10 }),
  families: familiesRule,
  localHost: that<string>('a numeric address', (value) => typeof value === 'string' && isIP(value) !== 0),
  localPort: integer({ min: 1, max: 65_535 }),
  tls: tlsClientRule,
  proxy: proxyOutRule,
  transport: transportRule,
};

const connectTable = table('connect', connectFields);

/**
 * Connects to an endpoint: `tcp://host:port`, `host:port`, `unix:///run/x.sock`, `memory://name`, or an object.
 * Rejects with a {@link PortsideError} that keeps the system's code (`ECONNREFUSED`, `ENOTFOUND`, …), ERR_PORTSIDE_TIMEOUT, `signal.reason`,
 * ERR_PORTSIDE_GUARD, or ERR_PORTSIDE_ENDPOINT. Where several addresses failed, the error is the first one's and `cause` has them all.
 */
export async function connect(to: EndpointLike, options?: ConnectOptions): Promise<Connection> {
  const checked: ConnectOptions = check(connectTable, options);
  const endpoint = parseEndpoint(to, 'client');
  const transport = transportFor(checked.transport);
  const scope = currentScope();
  const clock = currentClock();
  checked.signal?.throwIfAborted();
  const { host, port } = guarded(endpoint);
  scope?.check({ op: 'connect', role: 'client', host, port });
  const channel = await bounded(clock, checked, endpoint, async (bound) => {
    const targets = await targetsOf(endpoint, checked, transport, bound);
    bound.throwIfAborted();
    const sequential = checked.order === 'sequential' || checked.localPort !== undefined;
    const reached = await race(targets, sequential ? Infinity : (checked.attemptDelay ?? 250), transport, clock, bound);
    return prepared(reached, endpoint, checked, bound, clock);
  });
  const named = 'host' in endpoint ? endpoint.host : undefined;
  return openConnection(channel, connectionSettings(checked, 'client', null, named), scope);
}

/** Sends the PROXY header and shakes hands, as far as that was asked for. */
async function prepared(
  channel: Channel,
  endpoint: Endpoint,
  { proxy, tls }: ConnectOptions,
  bound: AbortSignal,
  clock: Clock,
): Promise<Channel> {
  if (bound.aborted) {
    channel.destroy('drop');
    throw bound.reason;
  }
  if (proxy !== undefined) channel.send(proxyPreamble(proxy, channel));
  if (tls === undefined && endpoint.kind !== 'tls') return channel;
  const timeout = tls?.handshakeTimeout ?? HANDSHAKE_TIMEOUT;
  const handshake = secureClient(channel, tls ?? NO_OPTIONS, 'host' in endpoint ? endpoint.host : undefined, []);
  const abort = (): void => handshake.cancel('drop');
  const late = new PortsideError(
    'ERR_PORTSIDE_TIMEOUT',
    `${formatEndpoint(endpoint)} did not shake hands within ${timeout} ms`,
    { op: 'connect', remote: formatEndpoint(endpoint) },
  );
  const timer = clock.after(timeout, () => handshake.cancel('drop', late));
  bound.addEventListener('abort', abort, { once: true });
  try {
    return await handshake.result;
  } catch (error) {
    bound.throwIfAborted();
    throw error;
  } finally {
    timer.cancel();
    bound.removeEventListener('abort', abort);
  }
}

function guarded(endpoint: Endpoint): { host: string; port: number | undefined } {
  if (endpoint.kind === 'tcp' || endpoint.kind === 'tls')
    return { host: endpoint.host ?? 'localhost', port: endpoint.port };
  return { host: formatEndpoint(endpoint), port: undefined };
}

/** Runs the work under the caller's signal and time; both end it through one signal. */
async function bounded<T>(
  clock: Clock,
  { signal, timeout }: ConnectOptions,
  endpoint: Endpoint,
  work: (bound: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const timer =
    timeout === undefined
      ? null
      : clock.after(timeout, () =>
          controller.abort(
            new PortsideError(
              'ERR_PORTSIDE_TIMEOUT',
              `${formatEndpoint(endpoint)} did not answer within ${timeout} ms`,
              {
                op: 'connect',
                remote: formatEndpoint(endpoint),
              },
            ),
          ),
        );
  try {
    return await work(controller.signal);
  } finally {
    timer?.cancel();
    signal?.removeEventListener('abort', abort);
  }
}

async function targetsOf(
  endpoint: Endpoint,
  options: ConnectOptions,
  transport: Transport,
  signal: AbortSignal,
): Promise<readonly DialTarget[]> {
  switch (endpoint.kind) {
    case 'unix':
    case 'memory':
      if (!transport.flags[endpoint.kind])
        throw unsupported(endpoint, `the transport "${transport.name}" has no such sockets`);
      return [endpoint];
    case 'fd':
    case 'systemd':
      throw unsupported(endpoint, 'it names a socket to listen on');
    case 'tcp':
    case 'tls': {
      const { localHost, localPort } = options;
      const localFamily = localHost === undefined ? 0 : isIP(localHost);
      const families = options.families ?? ['ipv6', 'ipv4'];
      const addresses = await resolveHost(endpoint.host ?? 'localhost', { families, role: 'client', signal });
      const fitting = addresses.filter(
        ({ family }) => localFamily === 0 || (family === 'ipv4') === (localFamily === 4),
      );
      if (fitting.length === 0) {
        throw unsupported(endpoint, `none of its addresses is of the family of the local address ${localHost ?? ''}`);
      }
      return interleave(fitting).map(({ host }) => ({ kind: 'tcp', host, port: endpoint.port, localHost, localPort }));
    }
  }
}

function unsupported(endpoint: Endpoint, why: string): PortsideError {
  const remote = formatEndpoint(endpoint);
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `can't connect to ${remote}: ${why}`, { op: 'connect', remote });
}

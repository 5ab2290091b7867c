import { byteCount, check, integer, milliseconds, object, record, table, that, union } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import { connectFields } from '../../net/connect.ts';
import type { ConnectOptions } from '../../net/connect.ts';
import { listenFields } from '../../net/listen.ts';
import type { ListenOptions } from '../../net/listen.ts';
import { settingsFields, transportRule } from '../../net/option-rules.ts';
import type { FieldsFor } from '../../net/option-rules.ts';
import type { ConnectionOptions } from '../../net/settings.ts';
import type { TransportChoice } from '../../net/transports.ts';
import { tlsClientRule } from '../../transport/tls/client.ts';
import type { TlsClientOptions } from '../../transport/tls/client.ts';
import { TlsServerContext } from '../../transport/tls/context.ts';
import { tlsServerRule } from '../../transport/tls/server-options.ts';
import type { TlsServerOptions } from '../../transport/tls/server-options.ts';

/** How the driver listens, beyond what a listener's record says. */
export interface TcpListenSettings
  extends ConnectionOptions, Pick<ListenOptions, 'families' | 'ipv6Only' | 'reuse' | 'reusePort' | 'proxy'> {}

/** How the driver connects, beyond what a handle's record says. */
export interface TcpConnectSettings
  extends
    ConnectionOptions,
    Pick<ConnectOptions, 'timeout' | 'order' | 'attemptDelay' | 'families' | 'localHost' | 'localPort' | 'proxy'> {}

/** TLS by the names that topics say: keys have no place in topics. */
export interface TcpTlsSettings {
  /** For `tcpListener(port, { tls: name })`. */
  readonly servers?: Readonly<Record<string, TlsServerOptions | TlsServerContext>> | undefined;
  /** For `tcpHandle(id, { tls: name })`. */
  readonly clients?: Readonly<Record<string, TlsClientOptions>> | undefined;
}

/** Settings of `tcpDriver`. */
export interface TcpDriverOptions {
  /** For all ports: deadlines, limits, PROXY, as `listen` takes them. */
  readonly listen?: TcpListenSettings | undefined;
  /** For all connections that are made: deadlines, limits, `timeout`, as `connect` takes them. */
  readonly connect?: TcpConnectSettings | undefined;
  /** What carries the bytes. @default 'auto' */
  readonly transport?: TransportChoice | undefined;
  readonly tls?: TcpTlsSettings | undefined;
  /** Accepted connections at a time, of all ports together; who comes then waits as the backlog allows. @default 10000 */
  readonly maxConnections?: number | undefined;
  /** Milliseconds that an accepted connection may be there without a local participant; then it is closed. @default 30000 */
  readonly claimTimeout?: number | undefined;
  /**
   * Bytes of one connection that were read and not dealt with; above it nothing is read, so that the peer waits. With credit,
   * the longest line.
   * @default 65536
   */
  readonly inputLimit?: number | undefined;
  /** What credit of one connection may add up to, in bytes or lines; beyond it the connection fails. @default 16777216 */
  readonly creditLimit?: number | undefined;
}

const listenRules: FieldsFor<TcpListenSettings> = {
  ...settingsFields,
  families: listenFields.families,
  ipv6Only: listenFields.ipv6Only,
  reuse: listenFields.reuse,
  reusePort: listenFields.reusePort,
  proxy: listenFields.proxy,
};

const connectRules: FieldsFor<TcpConnectSettings> = {
  ...settingsFields,
  timeout: connectFields.timeout,
  order: connectFields.order,
  attemptDelay: connectFields.attemptDelay,
  families: connectFields.families,
  localHost: connectFields.localHost,
  localPort: connectFields.localPort,
  proxy: connectFields.proxy,
};

const serverRule = union(
  that<TlsServerContext>('a TlsServerContext', (value) => value instanceof TlsServerContext),
  tlsServerRule,
);

const driverTable = table('tcpDriver', {
  listen: object(listenRules),
  connect: object(connectRules),
  transport: transportRule,
  tls: object({ servers: record(serverRule), clients: record(tlsClientRule) }),
  maxConnections: integer({ min: 1 }),
  claimTimeout: milliseconds({ infinite: true }),
  inputLimit: byteCount({ min: 1 }),
  creditLimit: byteCount({ min: 1 }),
});
const agreed: Agrees<typeof driverTable, TcpDriverOptions> = true;
void agreed;

/** {@link TcpDriverOptions} with every default filled in. */
export interface TcpSettings {
  readonly listen: TcpListenSettings;
  readonly connect: TcpConnectSettings;
  readonly transport: TransportChoice | undefined;
  readonly servers: ReadonlyMap<string, TlsServerOptions | TlsServerContext>;
  readonly clients: ReadonlyMap<string, TlsClientOptions>;
  readonly maxConnections: number;
  readonly claimTimeout: number;
  readonly inputLimit: number;
  readonly creditLimit: number;
}

/** Checks what was given. @throws ERR_PORTSIDE_OPTIONS with everything that is wrong. */
export function tcpSettings(given: TcpDriverOptions | undefined): TcpSettings {
  const options: TcpDriverOptions = check(driverTable, given);
  return {
    listen: options.listen ?? {},
    connect: options.connect ?? {},
    transport: options.transport,
    // A topic may name anything, and `constructor` is a property of every object.
    servers: byName(options.tls?.servers),
    clients: byName(options.tls?.clients),
    maxConnections: options.maxConnections ?? 10_000,
    claimTimeout: options.claimTimeout ?? 30_000,
    inputLimit: options.inputLimit ?? 65_536,
    creditLimit: options.creditLimit ?? 16_777_216,
  };
}

function byName<T>(given: Readonly<Record<string, T>> | undefined): ReadonlyMap<string, T> {
  return new Map(Object.entries(given ?? {}).filter(([, value]) => value !== undefined));
}

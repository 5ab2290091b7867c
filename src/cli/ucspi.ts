import type { Address } from '../transport/address.ts';

/** What a program that serves a connection is told of it. */
export interface UcspiFacts {
  /** This side's address. */
  readonly local: Address;
  /** The client's address: the one that it has behind a proxy, where that is known. */
  readonly remote: Address;
  /** How many connections are served for the client's address now, this one among them. */
  readonly connections?: number | undefined;
  /** What was agreed on, when the connection is TLS. */
  readonly tls?:
    | {
        /** As OpenSSL names it: `TLSv1.3`. */
        readonly protocol: string;
        /** As OpenSSL names it: `TLS_AES_256_GCM_SHA384`. */
        readonly cipher: string;
        /** What the client asked for by SNI, or null. */
        readonly servername: string | null;
      }
    | null
    | undefined;
}

/** Environment variables by name. */
export type Variables = Readonly<Record<string, string | undefined>>;

const TCP = 'REMOTEIP REMOTEPORT REMOTEHOST REMOTEINFO LOCALIP LOCALPORT LOCALHOST CONNNUM';
const IPC = 'REMOTEPATH REMOTEEUID REMOTEEGID REMOTEINFO LOCALPATH CONNNUM';
const SSL = 'PROTOCOL CIPHER TLS_SNI_SERVERNAME PEER_CERT_HASH PEER_CERT_SUBJECT';

const prefixed = (prefix: string, names: string): string[] => names.split(' ').map((name) => prefix + name);

/** Every variable that tells of a connection. One that was inherited would tell of another one. */
const ucspiNames: ReadonlySet<string> = new Set([
  'PROTO',
  ...prefixed('TCP', TCP),
  ...prefixed('IPC', IPC),
  ...prefixed('SSL_', SSL),
]);

/** A copy without the variables that tell of a connection. */
export function withoutUcspi(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => !ucspiNames.has(name)));
}

/**
 * The environment of a program that serves a connection, by UCSPI.
 *
 * A TCP connection has `PROTO=TCP`, `TCPREMOTEIP`, `TCPREMOTEPORT`, `TCPLOCALIP`, `TCPLOCALPORT` and, where it is known, `TCPCONNNUM`.
 * `TCPREMOTEHOST` is never set: nothing is looked up. A Unix domain socket has `PROTO=IPC`, `IPCLOCALPATH`, and `IPCREMOTEPATH` when the client bound
 * its own end; abstract names begin with `@`. With TLS, as s6-tlsd has it, `PROTO` stays what it is, and `SSL_PROTOCOL`, `SSL_CIPHER` and `SSL_TLS_SNI_SERVERNAME` are added.
 *
 * Source: https://cr.yp.to/ucspi-tcp/environment.html, s6-tcpserverd(8), s6-ipcserverd(8), s6-tlsd(8).
 */
export function ucspiEnvironment({ local, remote, connections, tls }: UcspiFacts): Record<string, string> {
  const set: Record<string, string> = {};
  switch (remote.family) {
    case 'ipv4':
    case 'ipv6':
      set['PROTO'] = 'TCP';
      set['TCPREMOTEIP'] = remote.host;
      set['TCPREMOTEPORT'] = String(remote.port);
      if (connections !== undefined) set['TCPCONNNUM'] = String(connections);
      // Behind a proxy on a Unix domain socket the client has an address, and this side has none.
      if ('port' in local) {
        set['TCPLOCALIP'] = local.host;
        set['TCPLOCALPORT'] = String(local.port);
      }
      break;
    case 'unix':
      set['PROTO'] = 'IPC';
      if (remote.path !== '') set['IPCREMOTEPATH'] = visible(remote.path);
      if (local.family === 'unix') set['IPCLOCALPATH'] = visible(local.path);
      break;
    case 'memory':
      break;
  }
  if (tls !== undefined && tls !== null) {
    set['SSL_PROTOCOL'] = tls.protocol;
    set['SSL_CIPHER'] = tls.cipher;
    if (tls.servername !== null && !tls.servername.includes('\0')) set['SSL_TLS_SNI_SERVERNAME'] = tls.servername;
  }
  return set;
}

/** A variable can't hold NUL, and a client may choose the name of its own end. */
function visible(path: string): string {
  return path.replaceAll('\0', '@');
}

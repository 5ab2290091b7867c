import type { X509Certificate } from 'node:crypto';
import type { Connection } from '../../net/connection.ts';
import type { ProxyOutOptions } from '../../net/proxy-out.ts';
import { formatAddress } from '../../transport/address.ts';
import { faultOf } from '../../transport/tls/failure.ts';
import type { TlsInfo } from '../../transport/tls/info.ts';
import { formatDuration } from '../durations.ts';
import type { Ending } from './conversation.ts';
import type { Plan } from './plan.ts';
import { printable } from './printable.ts';

/** What a connection that was just made is, in lines. */
export function describeConnection(conn: Connection, { endpoint, options }: Plan): string[] {
  const remote = formatAddress(conn.remote);
  const named = 'host' in endpoint && conn.remote.family !== 'unix' && endpoint.host !== undefined;
  const name = named && 'host' in conn.remote && endpoint.host !== conn.remote.host ? `${endpoint.host} at ` : '';
  const from = conn.local.family === 'unix' ? '' : ` from ${formatAddress(conn.local)}`;
  const lines = [`connected to ${name}${remote}${from}`];
  if (options.proxy !== undefined) lines.push(describeProxy(options.proxy, conn));
  if (conn.tls !== null) lines.push(...describeTls(conn.tls));
  return lines;
}

function describeProxy(proxy: ProxyOutOptions, conn: Connection): string {
  if (proxy === 'local') return 'PROXY v2 tells that this is a connection of the proxy itself (LOCAL)';
  const { version = 2, source = conn.local, destination = conn.remote } = proxy;
  const numeric = source.family !== 'unix' && destination.family !== 'unix';
  const carried =
    version === 1 ? numeric && source.family === destination.family : numeric || source.family === destination.family;
  if (!carried) {
    const of = `${source.family} and ${destination.family}`;
    return `PROXY v${version} tells no client, as it can't carry addresses of ${of} together`;
  }
  return `PROXY v${version} tells that ${formatAddress(source)} connected to ${formatAddress(destination)}`;
}

function describeTls({
  protocol,
  cipher,
  alpn,
  servername,
  peerCertificate,
  authorized,
  authorizationError,
}: TlsInfo): string[] {
  const asked = servername === null ? '' : `, asked for ${printable(servername)}`;
  const agreed = alpn === null ? 'no ALPN' : `ALPN ${printable(alpn)}`;
  const verdict = authorized ? 'verified' : `NOT VERIFIED: ${faultOf(authorizationError ?? '')}`;
  const shown = peerCertificate === null ? 'no certificate' : describeCertificate(peerCertificate);
  return [`${protocol}, ${cipher}, ${agreed}${asked}`, `${shown}; ${verdict}`];
}

function describeCertificate({ subject, subjectAltName, issuer, validTo }: X509Certificate): string {
  const names = subjectAltName === undefined ? '' : ` for ${printable(subjectAltName)}`;
  return `certificate of ${nameOf(subject)}${names}, from ${nameOf(issuer)}, until ${validTo}`;
}

/** A name as OpenSSL puts it on lines. */
function nameOf(name: string | undefined): string {
  return name === undefined || name === '' ? 'nobody named' : printable(name.split('\n').join(', '));
}

/** What `--insecure` has let through; it is told whatever else is not. */
export function warnInsecure({ authorized, authorizationError }: TlsInfo): string {
  if (authorized) return 'WARNING: --insecure would talk to anybody. This server is verified: leave it away';
  return `WARNING: --insecure talks to a server that is NOT VERIFIED: ${faultOf(authorizationError ?? '')}. Anybody may be at the other end, or in between`;
}

const WORDS: Readonly<Record<Exclude<Ending['kind'], 'broke' | 'unreadable'>, string>> = {
  ended: 'ended by both sides',
  waited: 'closed, as only one side had ended',
  'called-off': 'closed by a signal',
  unread: 'closed, as nobody reads the output any more',
};

/** How a conversation that did not fail ended: `ended by both sides; 12 bytes sent, 15 received, in 1200ms`. */
export function describeEnding(kind: keyof typeof WORDS, conn: Connection, ms: number): string {
  const time = formatDuration(Math.round(ms));
  return `${WORDS[kind]}; ${conn.bytesWritten} bytes sent, ${conn.bytesRead} received, in ${time}`;
}

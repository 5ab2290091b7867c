import { systemCode } from '../../base/errors.ts';
import { connect } from '../../net/connect.ts';
import type { ConnectOptions } from '../../net/connect.ts';
import type { Connection } from '../../net/connection.ts';
import { listen } from '../../net/listen.ts';
import type { ListenOptions } from '../../net/listen.ts';
import type { Listener } from '../../net/listener.ts';
import { explain } from '../explain.ts';
import { selfSigned } from '../self-signed.ts';
import { known } from './finding.ts';
import type { Finding } from './finding.ts';
import { numberIn } from './system-files.ts';

/** Milliseconds that anything on loopback may take. */
export const PATIENCE = 10_000;

/** Whether two listeners can share a port; tried. */
export async function reusePort(): Promise<Finding> {
  const means = 'several programs can listen on one port (SO_REUSEPORT), as --dispatch kernel may need';
  const finding = { id: 'reuse-port', means };
  const options: ListenOptions = { host: '127.0.0.1', reusePort: true };
  try {
    await during({ ...options, port: 0 }, (first) => during({ ...options, port: portOf(first) }, async () => {}));
    return { ...finding, state: 'ok', found: 'two listeners shared a port', todo: null, values: { works: true } };
  } catch (error) {
    const todo = 'let one program listen, over several threads with --workers';
    return {
      ...finding,
      state: 'note',
      found: `does not work: ${explain(error, false)}`,
      todo,
      values: { works: false },
    };
  }
}

/** Whether there is IPv6; tried on loopback. */
export async function ipv6(): Promise<Finding> {
  const only = numberIn('/proc/sys/net/ipv6/bindv6only');
  const finding = { id: 'ipv6', means: 'clients that have nothing else can come; :: lets in both families' };
  try {
    await during({ host: '::1', port: 0 }, (listener) => meet(listener, {}, async () => {}));
    const values = { works: true, bindv6only: only };
    return { ...finding, state: 'ok', found: 'a connection over ::1 worked', todo: null, values };
  } catch (error) {
    const values = { works: false, bindv6only: only };
    const found = `does not work: ${explain(error, false)}`;
    const todo =
      'listen on addresses of IPv4; Docker gives containers IPv6 by its option ipv6, Linux by net.ipv6.conf.all.disable_ipv6=0';
    return { ...finding, state: 'note', found, todo, values };
  }
}

/** Which version of TLS two sides agree on; tried. */
export async function tls(): Promise<Finding> {
  const openssl = process.versions.openssl;
  const finding = { id: 'tls', means: 'TLS is that of OpenSSL within Node' };
  try {
    const { cert, key } = await selfSigned({ hosts: ['localhost'], days: 1 });
    const protocol = await during({ host: '127.0.0.1', port: 0, tls: { cert, key } }, (listener) =>
      meet(listener, { tls: { ca: cert, servername: 'localhost' } }, async (conn) => conn.tls?.protocol ?? null),
    );
    const values = { openssl, protocol };
    const found = `OpenSSL ${openssl}, ${known(protocol)} spoken`;
    if (protocol === 'TLSv1.3') return { ...finding, state: 'ok', found, todo: null, values };
    return {
      ...finding,
      state: 'note',
      found,
      todo: 'TLS 1.3 is switched off: look at OPENSSL_CONF and NODE_OPTIONS',
      values,
    };
  } catch (error) {
    const found = `OpenSSL ${openssl}; no handshake: ${explain(error, false)}`;
    const todo = 'look at OPENSSL_CONF and NODE_OPTIONS, by which OpenSSL may be changed';
    return { ...finding, state: 'bad', found, todo, values: { openssl, protocol: null } };
  }
}

/** Ports that are tried before it stays unknown whether low ones can be had. */
const TRIES = 8;

/** Whether this user may listen on ports that need permission; tried on loopback. */
export async function lowPorts(): Promise<Finding> {
  const first = numberIn('/proc/sys/net/ipv4/ip_unprivileged_port_start');
  const finding = { id: 'low-ports', means: `ports below ${known(first)} need permission` };
  // Where none needs any, a low one shows it.
  const highest = Math.max(1, Math.min((first ?? 1_024) - 1, 1_023));
  let may: boolean | null = null;
  for (let port = highest; port > highest - TRIES && port > 0 && may === null; port -= 1) {
    try {
      await during({ host: '127.0.0.1', port }, async () => {});
      may = true;
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EACCES' || code === 'EPERM') may = false;
      else if (code !== 'EADDRINUSE') break;
    }
  }
  const values = { first, may };
  if (may === true) return { ...finding, state: 'ok', found: 'this user may listen on them', todo: null, values };
  const found = may === null ? 'unknown: none could be tried' : 'this user may not listen on them';
  const todo =
    'choose a port above, let systemd pass the socket in (systemd://), or give Node CAP_NET_BIND_SERVICE (AmbientCapabilities= of systemd)';
  return { ...finding, state: 'note', found, todo, values };
}

/** Does something while a listener is open. */
export async function during<T>(options: ListenOptions, work: (listener: Listener) => Promise<T>): Promise<T> {
  const listener = await listen(options);
  try {
    return await work(listener);
  } finally {
    await listener.close();
  }
}

/** Connects to a listener, has it accepted, and ends both. */
async function meet<T>(
  listener: Listener,
  options: ConnectOptions,
  work: (conn: Connection) => Promise<T>,
): Promise<T> {
  // Nobody is accepted when nobody could connect.
  const missed = new AbortController();
  const [accepted, made] = await Promise.allSettled([
    listener.accept({ signal: missed.signal }),
    connect(listener.address, { ...options, timeout: PATIENCE }).catch((error: unknown) => {
      missed.abort();
      throw error;
    }),
  ]);
  try {
    if (made.status === 'rejected') throw made.reason;
    return await work(made.value);
  } finally {
    for (const side of [accepted, made]) if (side.status === 'fulfilled') side.value.abort();
  }
}

export function portOf(listener: Pick<Listener, 'address'>): number {
  return 'port' in listener.address ? listener.address.port : 0;
}

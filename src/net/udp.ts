import { systemCode } from '../base/errors.ts';
import { checkValue, integer } from '../base/options.ts';
import { currentClock, currentScope } from '../sync/scope.ts';
import { tcpAddress } from '../transport/address.ts';
import { Datagrams } from '../transport/node/datagram.ts';
import type { DatagramBind } from '../transport/node/datagram.ts';
import { resolveHost } from './resolve.ts';
import { interfaceFor, parseUdpAddress } from './udp-address.ts';
import { checkUdpOptions, udpLimits } from './udp-options.ts';
import type { UdpOptions } from './udp-options.ts';
import { openUdpSocket } from './udp-socket.ts';
import type { UdpSocket } from './udp-socket.ts';

export { UdpSocket, isUdpSocket } from './udp-socket.ts';
export type { Datagram } from './udp-socket.ts';
export type { UdpAddress, UdpAddressLike } from './udp-address.ts';
export type { MulticastOptions, UdpOptions } from './udp-options.ts';

/**
 * Binds a UDP socket; resolves when bound, and then nothing that comes is missed.
 *
 * ```ts
 * const socket = await bindUdp({ port: 5000, host: '127.0.0.1' });
 * for await (const { data, remote } of socket) await socket.send(data, remote);
 * ```
 *
 * A number is a port, a string `host:port`. With nothing given it is bound to every address and a port that the system chooses:
 * a socket to send from.
 *
 * The socket belongs to the scope that is current now. Rejects with a PortsideError: the system's code (`EADDRINUSE`,
 * `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`, …), `ERR_PORTSIDE_OPTIONS` with all that is wrong with the options,
 * `ERR_PORTSIDE_ENDPOINT`, `ERR_PORTSIDE_SERVICE`, `ERR_PORTSIDE_GUARD`, `ERR_PORTSIDE_SCOPE_CLOSED`, or with `signal.reason`.
 */
export async function bindUdp(where: UdpOptions | number | string = {}, more?: UdpOptions): Promise<UdpSocket> {
  const options = checkUdpOptions(
    typeof where === 'object' ? (more === undefined ? where : { ...where, ...more }) : more,
  );
  const place = placeOf(where, options);
  const scope = currentScope();
  const clock = currentClock();
  options.signal?.throwIfAborted();
  scope?.check({ op: 'listen', role: 'server', host: place.host ?? '::', port: place.port });
  const socket = await bindFirst(await candidates(place.host, options), place.port, options);
  try {
    options.signal?.throwIfAborted();
    adjust(socket, options);
    // From here on the socket is owned and hears; there is no await between the binding and this.
    return openUdpSocket(socket, udpLimits(options), clock, scope);
  } catch (error) {
    socket.close();
    throw error;
  }
}

function placeOf(
  where: UdpOptions | number | string,
  { port = 0, host }: UdpOptions,
): { host: string | undefined; port: number } {
  if (typeof where === 'string') return parseUdpAddress(where, 'server');
  if (typeof where === 'number')
    return { host, port: checkValue('bindUdp', 'port', integer({ min: 0, max: 65_535 }), where) };
  return parseUdpAddress({ port, host }, 'server', 'options');
}

type Candidate = Pick<DatagramBind, 'host' | 'ipv6Only'>;

async function candidates(host: string | undefined, options: UdpOptions): Promise<readonly Candidate[]> {
  const { families = ['ipv6', 'ipv4'], signal } = options;
  const ipv6Only = options.ipv6Only ?? !families.includes('ipv4');
  if (host === undefined) {
    const all: Candidate[] = [];
    if (families.includes('ipv6')) all.push({ host: '::', ipv6Only });
    if (families.includes('ipv4') && !(ipv6Only && families.includes('ipv6')))
      all.push({ host: '0.0.0.0', ipv6Only: false });
    return all;
  }
  const found = await resolveHost(host, { families, role: 'server', signal });
  // An IPv4 address in IPv6 clothes is bound as what it is, so that the socket's family is that of its address.
  return found.map((one) => ({ host: tcpAddress(one.host, 0).host, ipv6Only: one.family === 'ipv6' && ipv6Only }));
}

/** Binds the first that the machine has; one that is taken is not passed over. */
async function bindFirst(list: readonly Candidate[], port: number, options: UdpOptions): Promise<Datagrams> {
  const { reuseAddress, reusePort } = options;
  for (const [i, candidate] of list.entries()) {
    try {
      return await Datagrams.bind({ ...candidate, port, reuseAddress, reusePort });
    } catch (error) {
      const code = systemCode(error);
      const lacking = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
      if (!lacking || i === list.length - 1) throw error;
    }
  }
  throw new TypeError('there is always a candidate');
}

function adjust(socket: Datagrams, options: UdpOptions): void {
  const { receiveBuffer, sendBuffer, broadcast, ttl, multicast } = options;
  if (receiveBuffer !== undefined || sendBuffer !== undefined)
    socket.setBuffers({ receive: receiveBuffer, send: sendBuffer });
  if (broadcast !== undefined) socket.broadcast(broadcast);
  if (ttl !== undefined) socket.ttl(ttl);
  if (multicast?.ttl !== undefined) socket.multicastTtl(multicast.ttl);
  if (multicast?.loopback !== undefined) socket.multicastLoopback(multicast.loopback);
  if (multicast?.interface !== undefined)
    socket.multicastInterface(interfaceFor(multicast.interface, socket.address.family));
}

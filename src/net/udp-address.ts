import { networkInterfaces } from 'node:os';
import type { TcpAddress } from '../transport/address.ts';
import { isIP } from '../transport/ip.ts';
import { Complaint, checkHost, checkPort } from './endpoint-parts.ts';
import { hostAndPort } from './endpoint-text.ts';
import type { EndpointRole } from './endpoint.ts';

/** Where one side of a datagram is: the same shape as a TCP address, `{ family, host, port }`, with a numeric host. */
export type UdpAddress = TcpAddress;

/**
 * What users may give for the place of a UDP socket: `host:port`, `[::1]:port`, `:port`, `udp://host:port`, or an object with
 * `host` and `port`, such as the `remote` of a datagram. A port is a number, digits or the name of a service (`domain`).
 */
export type UdpAddressLike = string | { readonly host: string; readonly port: number | string };

/** A host, which may be a name, and a port. */
export interface UdpPlace {
  readonly host: string | undefined;
  readonly port: number;
}

/**
 * Understands where to bind or to send. Throws a PortsideError as `parseEndpoint` does: `ERR_PORTSIDE_ENDPOINT`, or
 * `ERR_PORTSIDE_SERVICE` for the name of a service that is not known. `path` begins the message.
 */
export function parseUdpAddress(
  input: string | { readonly host?: string | undefined; readonly port: number | string },
  role: EndpointRole,
  path?: string,
): UdpPlace {
  try {
    if (typeof input === 'string') return hostAndPort('udp', input.replace(/^udp:\/\//iu, ''), role);
    if (typeof input !== 'object' || input === null) throw new Complaint('it is not an address', EXAMPLE);
    const { host, port } = input;
    if (host !== undefined && typeof host !== 'string') throw new Complaint('its host is not a string', EXAMPLE);
    return {
      host: host === undefined ? undefined : checkHost(host, false),
      port: checkPort(port, role, 'udp', host ?? ''),
    };
  } catch (error) {
    if (error instanceof Complaint) throw error.toError(input, path);
    throw error;
  }
}

const EXAMPLE = '"127.0.0.1:5000"';

/** The family of a numeric host, with or without a zone; undefined for a name. */
export function familyOf(host: string): 'ipv4' | 'ipv6' | undefined {
  const zone = host.indexOf('%');
  switch (isIP(zone === -1 ? host : host.slice(0, zone))) {
    case 4:
      return zone === -1 ? 'ipv4' : undefined;
    case 6:
      return 'ipv6';
    default:
      return undefined;
  }
}

/**
 * An interface as the system wants it for multicast: for IPv4 one of its addresses, for IPv6 `::%name`. Takes the
 * interface's name (`eth0`) or what the system wants already; what is no name of an interface is given back as it is.
 */
export function interfaceFor(given: string, family: 'ipv4' | 'ipv6'): string {
  const known = networkInterfaces();
  if (!Object.hasOwn(known, given)) return given;
  if (family === 'ipv6') return `::%${given}`;
  return known[given]?.find((one) => one.family === 'IPv4')?.address ?? given;
}

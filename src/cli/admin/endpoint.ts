import { PortsideError } from '../../base/errors.ts';
import { parseEndpoint } from '../../net/endpoint.ts';
import { formatAddress, tcpAddress } from '../../transport/address.ts';

/** Where an admin endpoint is looked for when nobody says. */
export const DEFAULT_ADMIN = '127.0.0.1:7001';

/** Where a request goes. */
export type AdminPlace =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** The place of an admin endpoint, as `host:port`, `:port` (loopback), `http://host:port/` or a path. Throws as `parseEndpoint` does. */
export function adminPlace(where: string): AdminPlace {
  const text = where.replace(/^http:\/\/([^/]+)\/?$/iu, '$1');
  const endpoint = parseEndpoint(/^\.{0,2}\//u.test(text) ? { path: text } : text, 'client', '--admin');
  switch (endpoint.kind) {
    case 'tcp':
      return { kind: 'tcp', host: endpoint.host ?? '127.0.0.1', port: endpoint.port };
    case 'unix':
      return { kind: 'unix', path: endpoint.path };
    default:
      throw new PortsideError(
        'ERR_PORTSIDE_ENDPOINT',
        `--admin: ${where} is no admin endpoint; these are like 127.0.0.1:7001 and /run/x.sock`,
      );
  }
}

/** `127.0.0.1:7001`, `unix:///run/x.sock` */
export function placeText(place: AdminPlace): string {
  return formatAddress(
    place.kind === 'unix' ? { family: 'unix', path: place.path } : tcpAddress(place.host, place.port),
  );
}

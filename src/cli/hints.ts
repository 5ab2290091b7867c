import type { EndpointOptions, ServerOptions } from '../server/options.ts';
import { placesOf } from '../server/options.ts';
import type { Address } from '../transport/address.ts';

/** How to try an address, as a command for a shell; null where there is none. */
export function connectHint(address: Address, secure: boolean, caFile: string | null): string | null {
  const trust = caFile === null ? '' : ` -CAfile ${quoted(caFile)}`;
  switch (address.family) {
    case 'ipv4':
    case 'ipv6': {
      const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host;
      if (!secure) return `nc ${host} ${address.port}`;
      return `openssl s_client -connect ${host.includes(':') ? `[${host}]` : host}:${address.port}${trust}`;
    }
    case 'unix': {
      // What openssl can't reach has no short way.
      if (address.path.startsWith('\0'))
        return secure ? null : `socat - ABSTRACT-CONNECT:${quoted(address.path.slice(1))}`;
      return secure ? `openssl s_client -unix ${quoted(address.path)}${trust}` : `nc -U ${quoted(address.path)}`;
    }
    case 'memory':
      return null;
  }
}

/** Whether connections to each of a server's addresses begin with TLS. */
export function secureAddresses(options: ServerOptions, addresses: readonly Address[]): readonly boolean[] {
  const places = placesOf(options);
  const secure: boolean[] = [];
  let place = 0;
  for (const [i, address] of addresses.entries()) {
    const before = addresses[i - 1];
    // A host of several addresses has them all on one port.
    const same = before !== undefined && 'port' in before && 'port' in address && before.port === address.port;
    const spare = addresses.length - i > places.length - place - 1;
    if (i > 0 && !(same && spare)) place += 1;
    secure.push(isSecure(places[Math.min(place, places.length - 1)]));
  }
  return secure;
}

/** By the rule of `ListenOptions.tls`. */
function isSecure(place: EndpointOptions | undefined): boolean {
  if (place?.tls === undefined) return false;
  const { endpoint } = place;
  if (typeof endpoint === 'string') return !/^tcp:/iu.test(endpoint);
  return !(typeof endpoint === 'object' && 'kind' in endpoint && endpoint.kind === 'tcp');
}

/** A word as a shell wants it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

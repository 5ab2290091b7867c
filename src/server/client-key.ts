import { integer, object } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import { addressWords, clearBitsBelow, formatIPv4, formatIPv6, readAddress } from '../codec/address-words.ts';
import type { Address } from '../transport/address.ts';

/** How many leading bits of an address make one client. */
export interface ClientPrefixes {
  /** Of an IPv4 address, 0 to 32. @default 32 */
  readonly ipv4: number;
  /** Of an IPv6 address, 0 to 128; a host is commonly given a whole /64. @default 64 */
  readonly ipv6: number;
}

/** One client is an IPv4 address, or an IPv6 /64. */
export const defaultClientPrefixes: ClientPrefixes = Object.freeze({ ipv4: 32, ipv6: 64 });

/** The rule for {@link ClientPrefixes}, each of which may be left out. */
export const clientPrefixesRule: Rule<{
  readonly ipv4?: number | undefined;
  readonly ipv6?: number | undefined;
}> = object({ ipv4: integer({ min: 0, max: 32 }), ipv6: integer({ min: 0, max: 128 }) });

// Used within one call.
const words = addressWords();

/**
 * The client that limits per client count a peer by, as text that says who it is: `192.0.2.1`, `2001:db8::/64`, `unix`.
 *
 * - An IPv4 address, or an IPv4-mapped one, by its first `ipv4` bits; with all 32 it is the address itself.
 * - An IPv6 address by its first `ipv6` bits, however it is written. Link-local ones (fe80::/10) share one /64 on every link, so they
 *   count each for itself, with its zone.
 * - All peers of Unix domain sockets are one client, `unix`, and all of memory sockets one, `memory`: nothing tells them apart.
 */
export function clientKey(address: Address, prefixes: ClientPrefixes = defaultClientPrefixes): string {
  switch (address.family) {
    case 'ipv4':
      // The system writes each IPv4 address in one way alone, so the text that is there already will do.
      return prefixes.ipv4 === 32 ? address.host : numberedKey(address.host, prefixes);
    case 'ipv6':
      return numberedKey(address.host, prefixes);
    case 'unix':
    case 'memory':
      return address.family;
  }
}

function numberedKey(host: string, { ipv4, ipv6 }: ClientPrefixes): string {
  const family = readAddress(host, words);
  if (family === 0) return host;
  if (family === 4) {
    clearBitsBelow(words, 96 + ipv4);
    return ipv4 === 32 ? formatIPv4(words) : `${formatIPv4(words)}/${ipv4}`;
  }
  if ((words[0]! & 0xffc0_0000) >>> 0 === 0xfe80_0000) {
    const zone = host.indexOf('%');
    return zone < 0 ? formatIPv6(words) : formatIPv6(words) + host.slice(zone);
  }
  clearBitsBelow(words, ipv6);
  return ipv6 === 128 ? formatIPv6(words) : `${formatIPv6(words)}/${ipv6}`;
}

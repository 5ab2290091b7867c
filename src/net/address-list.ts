import { checkValue } from '../base/options.ts';
import type { Address } from '../transport/address.ts';
import { addressListRule, readEntry } from './address-entry.ts';
import type { AddressEntry } from './address-entry.ts';
import { AddressRanges } from './address-ranges.ts';
import { addressWords, readAddress } from '../codec/address-words.ts';

export { addressListRule, isAddressEntry } from './address-entry.ts';

/**
 * A set of addresses and networks, such as the peers that may come, must not come, or are trusted with a PROXY header.
 *
 * Each entry is one of
 * - an address: `192.0.2.1`, `2001:db8::1`;
 * - a network in CIDR notation, without bits below the prefix: `10.0.0.0/8`, `2001:db8::/32`;
 * - `loopback` (127.0.0.0/8 and ::1), `private` (RFC 1918 and RFC 4193: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7),
 *   `link-local` (169.254.0.0/16 and fe80::/10);
 * - `unix` or `memory`, the peers of Unix domain sockets and of memory sockets, which have no number;
 * - `any`: every peer, with a number or without.
 *
 * IPv4-mapped IPv6 (`::ffff:192.0.2.1`) is the IPv4 address that it carries, in entries and in what is looked up, so no IPv6
 * network but a mapped one covers it. Names are not resolved.
 *
 * A look-up makes no garbage, and its time grows with the logarithm of the number of entries.
 */
export class AddressList {
  /** The entries as they were given. */
  readonly entries: readonly string[];
  readonly #ipv4: AddressRanges;
  readonly #ipv6: AddressRanges;
  readonly #unix: boolean;
  readonly #memory: boolean;
  readonly #words: Uint32Array = addressWords();

  /** Throws ERR_PORTSIDE_OPTIONS with every entry that is wrong, and what is wrong with it. */
  constructor(entries: readonly string[]) {
    checkValue('AddressList', 'entries', addressListRule, entries);
    this.entries = Object.freeze([...entries]);
    const read = this.entries.map((entry) => readEntry(entry) as AddressEntry);
    this.#ipv4 = new AddressRanges(
      1,
      read.flatMap((entry) => entry.ipv4),
    );
    this.#ipv6 = new AddressRanges(
      4,
      read.flatMap((entry) => entry.ipv6),
    );
    this.#unix = read.some((entry) => entry.unnumbered.includes('unix'));
    this.#memory = read.some((entry) => entry.unnumbered.includes('memory'));
  }

  /** How many entries it was given. */
  get size(): number {
    return this.entries.length;
  }

  /** Whether a numeric address is in the list; its zone (`%eth0`) is not looked at. What is no numeric address is in no list. */
  has(host: string): boolean {
    const family = readAddress(host, this.#words);
    if (family === 4) return this.#ipv4.has(this.#words);
    return family === 6 && this.#ipv6.has(this.#words);
  }

  /** Whether a peer's address, with a number or without, is in the list. */
  hasAddress(address: Address): boolean {
    switch (address.family) {
      case 'ipv4':
      case 'ipv6':
        return this.has(address.host);
      case 'unix':
        return this.#unix;
      case 'memory':
        return this.#memory;
    }
  }
}

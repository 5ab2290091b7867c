import { list } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import { tell } from '../base/rules.ts';
import type { Report } from '../base/rules.ts';
import { nearest, show } from '../base/show.ts';
import {
  addressWords,
  clearBitsBelow,
  formatIPv4,
  formatIPv6,
  hasBitsBelow,
  readAddress,
  setBitsBelow,
} from '../codec/address-words.ts';
import type { AddressRange } from './address-ranges.ts';

/** The words that stand for networks, and what they stand for. */
const networks = {
  loopback: ['127.0.0.0/8', '::1'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  any: ['0.0.0.0/0', '::/0'],
} as const;

/** The words that stand for peers without a number. */
const unnumbered = {
  unix: ['unix'],
  memory: ['memory'],
  any: ['unix', 'memory'],
} as const;

const words: readonly string[] = [...Object.keys(networks), 'unix', 'memory'];

/** What one entry of a list of addresses stands for. */
export interface AddressEntry {
  readonly ipv4: readonly AddressRange[];
  readonly ipv6: readonly AddressRange[];
  readonly unnumbered: readonly ('unix' | 'memory')[];
}

/** One network, or what is wrong with it, as it reads after the name of the option. */
type Network = { readonly family: 4 | 6; readonly range: AddressRange } | { readonly problem: string };

const wants = `an address (192.0.2.1, 2001:db8::1), a CIDR (10.0.0.0/8, 2001:db8::/32), or one of ${words.join(', ')}`;

function readNetwork(text: string): Network {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const first = addressWords();
  const family = readAddress(host, first);
  if (family === 0) return { problem: notAnAddress(text, host) };
  const zone = host.indexOf('%');
  if (zone >= 0) {
    return {
      problem: `must have no zone, got ${show(text)}; zones are not looked at, so write "${host.slice(0, zone)}"`,
    };
  }
  // A mapped address is written with IPv6's lengths, and is an IPv4 one from here on.
  const mapped = family === 4 && host.includes(':');
  const most = family === 4 && !mapped ? 32 : 128;
  const least = mapped ? 96 : 0;
  const digits = slash < 0 ? String(most) : text.slice(slash + 1);
  const length = /^(?:0|[1-9]\d{0,2})$/u.test(digits) ? Number(digits) : -1;
  if (length < least || length > most) {
    return { problem: `must have a prefix length from ${least} to ${most}, got ${show(text)}` };
  }
  const prefix = family === 4 && !mapped ? 96 + length : length;
  if (hasBitsBelow(first, prefix)) {
    const own = family === 4 ? formatIPv4(first) : formatIPv6(first);
    clearBitsBelow(first, prefix);
    const right = family === 4 ? `${formatIPv4(first)}/${prefix - 96}` : `${formatIPv6(first)}/${prefix}`;
    return {
      problem: `must have no bits set below its prefix, got ${show(text)}; write "${right}", or "${own}" alone`,
    };
  }
  const last = first.slice();
  setBitsBelow(last, prefix);
  return { family, range: { first, last } };
}

/** Says what may have been meant. */
function notAnAddress(text: string, host: string): string {
  const problem = `must be ${wants}, got ${show(text)}`;
  const bare = /^\[([^\]]*)\](?::\d+)?$/u.exec(host)?.[1] ?? /^([\d.]+):\d+$/u.exec(host)?.[1];
  if (bare !== undefined && readAddress(bare, addressWords()) !== 0) {
    return `must be an address without brackets and port, got ${show(text)}; write "${bare}"`;
  }
  const near = nearest(text, words);
  return near === undefined ? problem : `${problem}; did you mean "${near}"?`;
}

/** What an entry stands for, or what is wrong with it, as it reads after the name of the option. */
export function readEntry(text: string): AddressEntry | { readonly problem: string } {
  const known = words.includes(text);
  const ipv4: AddressRange[] = [];
  const ipv6: AddressRange[] = [];
  const names: readonly string[] = known ? (networks[text as keyof typeof networks] ?? []) : [text];
  for (const name of names) {
    const network = readNetwork(name);
    if ('problem' in network) return network;
    (network.family === 4 ? ipv4 : ipv6).push(network.range);
  }
  return { ipv4, ipv6, unnumbered: known ? (unnumbered[text as keyof typeof unnumbered] ?? []) : [] };
}

/** Whether a value can be an entry of an `AddressList`: an address, a CIDR without bits below its prefix, or one of its words. */
export function isAddressEntry(value: unknown): value is string {
  return typeof value === 'string' && !('problem' in readEntry(value));
}

const entryRule: Rule<string> = {
  wants,
  required: false,
  accepts: isAddressEntry,
  near: (value) => typeof value === 'string',
  explain(value: unknown, path: string, report: Report): void {
    const entry = typeof value === 'string' && !report.hidden ? readEntry(value) : undefined;
    if (entry !== undefined && 'problem' in entry) tell(report, path, entry.problem);
    else tell(report, path, `must be ${wants}, got ${show(value, report.hidden)}`);
  },
};

/** The rule for the entries of an `AddressList`; each that is wrong is told with what is wrong about it. */
export const addressListRule: Rule<readonly string[]> = list(entryRule);

import { boolean, bytes, integer, list, object, oneOf, required, string, that, union } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import { encodeProxyHeader, tlvsFit, unixPathFits } from '../codec/proxy-header.ts';
import type { ProxyAddress, ProxyTlv } from '../codec/proxy-header.ts';
import type { Address } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import { isIP } from '../transport/ip.ts';

/**
 * The PROXY header that `connect` sends first.
 *
 * - `'local'`: the connection is this side's own, such as a health check; LOCAL, in version 2.
 * - an object: it is passed on for a client, as in `{ source: client.remote, destination: client.local }`. With `{}` the header tells
 *   this connection's own two addresses, which is what version 1 has for a health check.
 *
 * Version 1 carries IPv4 or IPv6 addresses of one family; Unix and memory sockets, and families that differ, make it
 * `PROXY UNKNOWN`. Version 2 carries Unix sockets too, and writes IPv4 beside IPv6 as IPv4-mapped IPv6; memory sockets, and a Unix socket beside a
 * numeric address, make it a header without addresses. A receiver goes by the socket's own address then.
 */
export type ProxyOutOptions =
  | 'local'
  | {
      /** @default 2 */
      readonly version?: 1 | 2 | undefined;
      /** The client. @default this side of the connection */
      readonly source?: Address | undefined;
      /** What the client connected to. @default the other side of the connection */
      readonly destination?: Address | undefined;
      /** Extensions, for version 2: see `proxyTlvs`, or those of the header that the client's proxy sent. */
      readonly tlvs?: readonly ProxyTlv[] | undefined;
      /** Whether the header carries a checksum, for version 2. @default false */
      readonly checksum?: boolean | undefined;
    };

const port = integer({ min: 0, max: 65_535 });

function host(version: 4 | 6): Rule<string> {
  return that(`a numeric IPv${version} address`, (value) => typeof value === 'string' && isIP(value) === version);
}

const path = that<string>(
  'a path no longer than a Unix socket can have',
  (value) => typeof value === 'string' && unixPathFits(value),
);

const byFamily: ReadonlyMap<unknown, Rule<Address>> = new Map<unknown, Rule<Address>>([
  ['ipv4', object({ family: required(oneOf('ipv4')), host: required(host(4)), port: required(port) })],
  ['ipv6', object({ family: required(oneOf('ipv6')), host: required(host(6)), port: required(port) })],
  ['unix', object({ family: required(oneOf('unix')), path: required(path) })],
  ['memory', object({ family: required(oneOf('memory')), name: required(string({ empty: true })) })],
]);

const noAddress = that<Address>(
  'an address, as a connection gives it, with the family ipv4, ipv6, unix or memory',
  () => false,
);

/** The rule of an address's family. */
function ruleOf(value: unknown): Rule<Address> {
  if (typeof value !== 'object' || value === null || !('family' in value)) return noAddress;
  return byFamily.get(value.family) ?? noAddress;
}

const addressRule: Rule<Address> = {
  wants: noAddress.wants,
  required: false,
  accepts: (value): value is Address => ruleOf(value).accepts(value),
  near: (value) => ruleOf(value).near(value),
  explain: (value, at, report) => ruleOf(value).explain(value, at, report),
};

const headerRule = object(
  {
    version: oneOf(1, 2),
    source: addressRule,
    destination: addressRule,
    tlvs: list(object({ type: required(integer({ min: 0, max: 255 })), value: required(bytes()) })),
    checksum: boolean(),
  },
  ({ version, tlvs, checksum }, problem) => {
    if (version === 1 && tlvs !== undefined && tlvs.length > 0) problem('tlvs', 'can only be sent in version 2');
    if (version === 1 && checksum === true) problem('checksum', 'can only be sent in version 2');
    if (tlvs !== undefined && !tlvsFit(tlvs))
      problem(
        'tlvs',
        'must fit in one header of 65551 bytes, and leave the checksum (type 3) and padding (type 4) out',
      );
  },
);

/** What {@link ProxyOutOptions} have to be. */
export const proxyOutRule: Rule<ProxyOutOptions> = union(oneOf('local'), headerRule);

/** The bytes to send first on a connection that was just made, by options that were checked. */
export function proxyPreamble(options: ProxyOutOptions, channel: Channel): Uint8Array {
  if (options === 'local') return encodeProxyHeader({ version: 2, command: 'local' });
  const { version = 2, tlvs, checksum } = options;
  const source = carried(options.source ?? channel.local);
  const destination = carried(options.destination ?? channel.remote);
  const known = source !== null && destination !== null;
  return encodeProxyHeader(
    { version, source: known ? source : null, destination: known ? destination : null, tlvs },
    { checksum },
  );
}

/** An address as a header can carry it. A name in memory means nothing elsewhere. */
function carried(address: Address): ProxyAddress | null {
  return address.family === 'memory' ? null : address;
}

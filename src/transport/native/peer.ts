import type { Address } from '../address.ts';

/** For a peer that the system tells nothing of. */
export const UNKNOWN: Address = { family: 'ipv4', host: '0.0.0.0', port: 0 };

/** An IPv4 address that was kept as a number: 32 bits of host in network order, 16 of port. */
export function addressOf(remote: number): Address {
  const host = Math.floor(remote / 65536);
  const text = `${host & 255}.${(host >>> 8) & 255}.${(host >>> 16) & 255}.${host >>> 24}`;
  return { family: 'ipv4', host: text, port: remote % 65536 };
}

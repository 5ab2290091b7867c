import { domainToASCII } from 'node:url';
import { isIP } from '../transport/ip.ts';

/** A name as a certificate has it. */
export interface CertificateName {
  readonly kind: 'dns' | 'ip';
  /** In lower case and ASCII; an address in its shortest form. */
  readonly value: string;
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
// A last label of digits alone would be an address to some.
const NAME = new RegExp(`^(?:\\*\\.(?=.*\\.))?(?:${LABEL}\\.)*(?!\\d+$)${LABEL}$`, 'u');
const LETTERS = /^[\p{L}\p{M}\p{N}.*-]+$/u;
const ASCII = /^[ -~]+$/u;
const LONGEST = 253;

/** A host as a certificate names it, or null when it is neither a host name nor a numeric address. A zone of an address has no place in one. */
export function certificateName(host: string): CertificateName | null {
  switch (isIP(host)) {
    case 4:
      return { kind: 'ip', value: host };
    case 6:
      return host.includes('%') ? null : { kind: 'ip', value: shortest(host) };
    default: {
      // The reader of URLs would take the host out of `a/b` and `a:80`, and an address out of `127.1`.
      if (!LETTERS.test(host)) return null;
      const value = ASCII.test(host) ? host.toLowerCase() : domainToASCII(host);
      if (value.length > LONGEST || !NAME.test(value)) return null;
      return { kind: 'dns', value };
    }
  }
}

const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/u;

/** The form of RFC 5952; an IPv4-mapped address as the IPv4 that it is. */
function shortest(address: string): string {
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
}

import { X509Certificate } from 'node:crypto';
import { PortsideError } from '../base/errors.ts';
import { check, integer, list, string, table, that } from '../base/options.ts';
import type { Agrees, Rule } from '../base/options.ts';
import { currentClock } from '../sync/scope.ts';
import { certificateName } from './certificate-name.ts';
import type { CertificateName } from './certificate-name.ts';
import { readPair, writePair } from './pair-folder.ts';
import type { Pair } from './pair-folder.ts';

/** Options of {@link selfSigned}. */
export interface SelfSignedOptions {
  /** The names and addresses that it is for; a name may begin with `*.`. @default ['localhost', '127.0.0.1', '::1'] */
  hosts?: readonly string[] | undefined;
  /** Days that it is valid, 1 to 825; more than that clients refuse. @default 30 */
  days?: number | undefined;
  /** A directory that keeps it. It is made when it is missing. @default it is kept in memory */
  folder?: string | undefined;
}

/** A certificate that nobody vouches for, and its key. */
export interface SelfSigned extends Pair {
  /** SHA-256 in hexadecimal, bytes parted by colons. */
  readonly fingerprint256: string;
  readonly notAfter: Date;
  /** Whether it was made now; false when it was found in the folder. */
  readonly created: boolean;
  /** Why it took the place of the one in the folder, as it reads after "because"; null when it took nobody's. */
  readonly renewed: string | null;
}

const DAY = 86_400_000;
/** The longest that Apple's clients take, which are the strictest. */
const MOST_DAYS = 825;
const MOST_HOSTS = 100;

const hostRule: Rule<string> = that(
  'a host name or an IP address',
  (value) => typeof value === 'string' && certificateName(value) !== null,
);
const selfSignedTable = table('selfSigned', {
  hosts: list(hostRule, { min: 1, max: MOST_HOSTS }),
  days: integer({ min: 1, max: MOST_DAYS }),
  folder: string(),
});
const agreed: Agrees<typeof selfSignedTable, SelfSignedOptions> = true;
void agreed;

/** Whom it is from and for: how one's own are told from those that somebody put there. */
const SUBJECT = 'portside self-signed';

/**
 * A certificate for development: EC P-256, signed by itself, for servers alone and no authority, so that whoever trusts it trusts nothing else.
 *
 * With a folder, the pair is kept there as `portside.crt` and `portside.key` (0600, in a directory that is made 0700) and used again while it is good for all the hosts
 * and for a tenth of its days more, a day at most. One that is not, or is damaged, or whose key others could read, is replaced, and `renewed` says why.
 *
 * Throws ERR_PORTSIDE_OPTIONS, and ERR_PORTSIDE_CERTIFICATE when the folder can't be read or written, or has a certificate that was not made here: that is left alone.
 */
export async function selfSigned(options: SelfSignedOptions = {}): Promise<SelfSigned> {
  const {
    hosts = ['localhost', '127.0.0.1', '::1'],
    days = 30,
    folder,
  }: SelfSignedOptions = check(selfSignedTable, options);
  const names = hosts.map(certificateName).filter((name) => name !== null);
  const now = currentClock().wall();
  if (folder === undefined) return describe(await generate(names, days, now), true, null);
  const found = await readPair(folder);
  let renewed: string | null = null;
  switch (found.kind) {
    case 'none':
      break;
    case 'damaged':
      renewed = found.why;
      break;
    case 'pair':
      if (found.certificate.subject !== `CN=${SUBJECT}`) {
        throw new PortsideError(
          'ERR_PORTSIDE_CERTIFICATE',
          `${found.file} was not made by portside, so it is not touched; name another folder, or serve it by its path.`,
        );
      }
      renewed = found.fault ?? staleness(found.certificate, names, now);
      if (renewed === null) return describe(found.pair, false, null);
  }
  const pair = await generate(names, days, now);
  await writePair(folder, pair);
  return describe(pair, true, renewed);
}

/** Why a certificate won't do any more, or null. */
function staleness(certificate: X509Certificate, names: readonly CertificateName[], now: number): string | null {
  const from = certificate.validFromDate.getTime();
  const to = certificate.validToDate.getTime();
  if (now >= to) return `it expired on ${certificate.validToDate.toISOString().slice(0, 10)}`;
  if (now < from - DAY) return 'it is not valid yet';
  if (to - now < Math.min(DAY, (to - from) / 10)) return 'it was about to expire';
  const listed = new Set((certificate.subjectAltName ?? '').split(', '));
  for (const { kind, value } of names) {
    const covered = kind === 'ip' ? certificate.checkIP(value) !== undefined : listed.has(`DNS:${value}`);
    if (!covered) return `it was not for ${value}`;
  }
  return null;
}

function describe(pair: Pair, created: boolean, renewed: string | null): SelfSigned {
  const { fingerprint256, validToDate: notAfter } = new X509Certificate(pair.cert);
  return { ...pair, fingerprint256, notAfter, created, renewed };
}

async function generate(names: readonly CertificateName[], days: number, now: number): Promise<Pair> {
  // It brings a good deal with it, for which nobody else should wait.
  const { generate: generatePems } = await import('selfsigned');
  const pems = await generatePems([{ name: 'commonName', value: SUBJECT }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now),
    notAfterDate: new Date(now + days * DAY),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map(({ kind, value }) => (kind === 'ip' ? { type: 7, ip: value } : { type: 2, value })),
      },
    ],
  });
  return { cert: lined(pems.cert), key: lined(pems.private) };
}

/** With LF at the end of each line, the last one too. */
function lined(pem: string): string {
  return `${pem.replaceAll('\r\n', '\n').trimEnd()}\n`;
}

import { isUint8Array } from 'node:util/types';
import {
  boolean,
  integer,
  list,
  milliseconds,
  object,
  oneOf,
  record,
  required,
  secret,
  string,
  that,
  union,
} from '../../base/options.ts';
import type { Rule } from '../../base/options.ts';
import { pemRule } from './pem.ts';
import type { PemSource } from './pem.ts';

/** A version of TLS that can be asked for. Older ones are broken (RFC 8996). */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** A certificate with its chain, and the key that fits it. */
export interface TlsPair {
  /** The certificate, followed by those that lead to a root. */
  cert: PemSource;
  /** Its private key. */
  key: PemSource;
  /** What decrypts the key. */
  passphrase?: string | undefined;
}

/** How a server does TLS. */
export interface TlsServerOptions extends TlsPair {
  /** Whom client certificates have to come from; needed when they are asked for. One or more certificates. */
  ca?: PemSource | readonly PemSource[] | undefined;
  /**
   * Certificates by the name that the client asks for (SNI): `a.example.org`, or `*.example.org` for any one label. Case does not matter, and an
   * exact name wins. A client that names none of them, or no one at all, gets the default pair.
   */
  servers?: Readonly<Record<string, TlsPair>> | undefined;
  /** Protocols to agree on (ALPN), the best first. A client that offers only others is refused; one that offers none is not. */
  alpn?: readonly string[] | undefined;
  /**
   * Whether clients show a certificate. `request`: those that have a good one are `authorized`, the rest come too. `require`: no connection without.
   * @default 'none'
   */
  clientCertificate?: 'none' | 'request' | 'require' | undefined;
  /** The oldest version. @default 'TLSv1.2' */
  minVersion?: TlsVersion | undefined;
  /** The newest version. @default 'TLSv1.3' */
  maxVersion?: TlsVersion | undefined;
  /** OpenSSL's names of ciphers, joined by colons. @default Node's */
  ciphers?: string | undefined;
  /** 48 secret bytes that session tickets are sealed with. Workers that are given the same resume each other's sessions. @default random */
  ticketKeys?: Uint8Array | undefined;
  /** Milliseconds a handshake may take. @default 10000 */
  handshakeTimeout?: number | undefined;
  /** How many handshakes may be under way at once. @default 256 */
  maxHandshakes?: number | undefined;
  /** Watches the files, and takes up what is new in them. @default false */
  watch?: boolean | undefined;
}

type FieldsFor<T> = { readonly [K in keyof T]-?: Rule<Exclude<T[K], undefined>> };

const pairFields = {
  cert: required(pemRule),
  key: required(secret(pemRule)),
  passphrase: secret(string()),
} satisfies FieldsFor<TlsPair>;

/** Protocols of ALPN (RFC 7301): 1 to 255 bytes each. */
export const alpnRule: Rule<readonly string[]> = list(
  that<string>('the name of a protocol, 1 to 255 bytes', (value) => {
    if (typeof value !== 'string') return false;
    const { length } = Buffer.from(value);
    return length > 0 && length < 256;
  }),
  { min: 1, max: 64 },
);

/** One or more PEMs with certificates of authorities. */
export const caRule: Rule<PemSource | readonly PemSource[]> = union(pemRule, list(pemRule, { min: 1 }));

/** A version of TLS. */
export const versionRule: Rule<TlsVersion> = oneOf('TLSv1.2', 'TLSv1.3');

const NAME = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/iu;

const fields = {
  ...pairFields,
  ca: caRule,
  servers: record(object(pairFields)),
  alpn: alpnRule,
  clientCertificate: oneOf('none', 'request', 'require'),
  minVersion: versionRule,
  maxVersion: versionRule,
  ciphers: string(),
  ticketKeys: secret(that<Uint8Array>('48 bytes', (value) => isUint8Array(value) && value.length === 48)),
  handshakeTimeout: milliseconds({ min: 1 }),
  maxHandshakes: integer({ min: 1 }),
  watch: boolean(),
} satisfies FieldsFor<TlsServerOptions>;

/** What {@link TlsServerOptions} have to be. TLS without a certificate or a key is an error, never plain text. */
export const tlsServerRule: Rule<TlsServerOptions> = object(fields, (options, problem) => {
  const { minVersion, maxVersion, clientCertificate = 'none', ca, servers = {} } = options;
  if (minVersion === 'TLSv1.3' && maxVersion === 'TLSv1.2') problem('minVersion', 'must not be newer than maxVersion');
  if (clientCertificate !== 'none' && ca === undefined)
    problem(
      'ca',
      `must be given when clientCertificate is "${clientCertificate}": it says whom they have to come from`,
    );
  const seen = new Set<string>();
  for (const name of Object.keys(servers)) {
    const key = name.toLowerCase();
    if (!NAME.test(name))
      problem('servers', `has the name ${JSON.stringify(name)}, which is neither a host name nor *. before one`);
    else if (seen.has(key)) problem('servers', `has ${JSON.stringify(key)} twice`);
    seen.add(key);
  }
});

import type { PeerCertificate } from 'node:tls';
import { isUint8Array } from 'node:util/types';
import { boolean, fn, milliseconds, object, secret, string, that } from '../../base/options.ts';
import type { Rule } from '../../base/options.ts';
import { pemRule } from './pem.ts';
import type { PemSource } from './pem.ts';
import { alpnRule, caRule, versionRule } from './server-options.ts';
import type { TlsVersion } from './server-options.ts';

/** How a client does TLS. */
export interface TlsClientOptions {
  /** The name that the server is asked for (SNI), and that its certificate has to cover. @default the host that is connected to */
  servername?: string | undefined;
  /** Whom the server's certificate has to come from; one or more certificates. @default the authorities that Node trusts */
  ca?: PemSource | readonly PemSource[] | undefined;
  /** This side's certificate with its chain, for servers that ask for one. */
  cert?: PemSource | undefined;
  /** Its private key. */
  key?: PemSource | undefined;
  /** What decrypts the key. */
  passphrase?: string | undefined;
  /** Protocols to offer (ALPN), the best first. */
  alpn?: readonly string[] | undefined;
  /** The oldest version. @default 'TLSv1.2' */
  minVersion?: TlsVersion | undefined;
  /** The newest version. @default 'TLSv1.3' */
  maxVersion?: TlsVersion | undefined;
  /** OpenSSL's names of ciphers, joined by colons. @default Node's */
  ciphers?: string | undefined;
  /** `false` talks to anybody who answers, and leaves it to the caller to look at `tls.authorized`. @default true */
  rejectUnauthorized?: boolean | undefined;
  /** A session to resume, as `onSession` gave it. One of another name is not used, and a server that does not know it any more does a full handshake. */
  session?: Uint8Array | undefined;
  /**
   * Hears each session that a later connection to the same name can resume, if the server is verified; more than one may come, and with TLS 1.3 not before bytes
   * are read. It is a secret.
   */
  onSession?: ((session: Uint8Array) => void) | undefined;
  /** Judges the server's certificate instead of comparing its names: the error to fail with, or undefined. */
  checkServerIdentity?: ((name: string, certificate: PeerCertificate) => Error | undefined) | undefined;
  /** Milliseconds the handshake may take. @default 10000 */
  handshakeTimeout?: number | undefined;
}

type FieldsFor<T> = { readonly [K in keyof T]-?: Rule<Exclude<T[K], undefined>> };

const fields = {
  servername: string(),
  ca: caRule,
  cert: pemRule,
  key: secret(pemRule),
  passphrase: secret(string()),
  alpn: alpnRule,
  minVersion: versionRule,
  maxVersion: versionRule,
  ciphers: string(),
  rejectUnauthorized: boolean(),
  session: secret(that<Uint8Array>('a session as onSession gave it', (value) => isUint8Array(value))),
  onSession: fn<(session: Uint8Array) => void>(),
  checkServerIdentity: fn<(name: string, certificate: PeerCertificate) => Error | undefined>(),
  handshakeTimeout: milliseconds({ min: 1 }),
} satisfies FieldsFor<TlsClientOptions>;

/** What {@link TlsClientOptions} have to be. */
export const tlsClientRule: Rule<TlsClientOptions> = object(fields, (options, problem) => {
  const { minVersion, maxVersion, cert, key } = options;
  if (minVersion === 'TLSv1.3' && maxVersion === 'TLSv1.2') problem('minVersion', 'must not be newer than maxVersion');
  if (cert !== undefined && key === undefined) problem('key', 'must be given with cert');
  if (key !== undefined && cert === undefined) problem('cert', 'must be given with key');
});

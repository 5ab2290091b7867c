import type { SecureContext } from 'node:tls';
import type { Problem } from '../../base/options.ts';
import { systemClock } from '../../sync/clock.ts';
import { CertificateError } from './certificate-error.ts';
import { loadPair, teller } from './certificate.ts';
import type { TlsClientOptions } from './client.ts';
import { pathsOf, readAhead, readInline } from './pem.ts';
import type { PemReader } from './pem.ts';
import { secureContext } from './secure-context.ts';
import { loadAuthorities, sourcesOf } from './sources.ts';

/** Contexts of options that name no file: what they say doesn't change. */
const made = new WeakMap<TlsClientOptions, SecureContext>();

/**
 * What a client's handshakes go by. Kept with the options when these name no file; files are read, and checked, for each connection, so that
 * new ones are taken up. Throws, or rejects with, ERR_PORTSIDE_CERTIFICATE that tells all problems, or ERR_PORTSIDE_OPTIONS.
 */
export function clientContext(options: TlsClientOptions): SecureContext | Promise<SecureContext> {
  const known = made.get(options);
  if (known !== undefined) return known;
  const sources = [options.cert, options.key, ...sourcesOf(options.ca)].filter((source) => source !== undefined);
  if (pathsOf(sources).length > 0) return readAhead(sources).then((read) => make(options, read));
  const context = make(options, readInline);
  made.set(options, context);
  return context;
}

function make(options: TlsClientOptions, read: PemReader): SecureContext {
  const { cert, key, passphrase, ciphers, minVersion = 'TLSv1.2', maxVersion = 'TLSv1.3' } = options;
  const problems: Problem[] = [];
  const tell = teller(problems);
  const ca = loadAuthorities(options.ca, read, tell);
  const pair =
    cert === undefined || key === undefined
      ? null
      : loadPair({ cert, key, passphrase }, { at: '', servername: null, now: systemClock.wall(), read, tell });
  if (problems.length > 0) throw new CertificateError(problems);
  return secureContext(
    {
      ...(ca.length === 0 ? {} : { ca }),
      ...(pair === null ? {} : { cert: pair.cert, key: pair.key }),
      ...(pair?.passphrase === undefined ? {} : { passphrase: pair.passphrase }),
      ...(ciphers === undefined ? {} : { ciphers }),
      minVersion,
      maxVersion,
    },
    '',
  );
}

import { createSecureContext } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import { systemCode } from '../../base/errors.ts';
import { OptionsError } from '../../base/options.ts';
import { CertificateError } from './certificate-error.ts';

/**
 * Makes OpenSSL's context of what was checked. Throws ERR_PORTSIDE_OPTIONS when it knows none of the ciphers, and ERR_PORTSIDE_CERTIFICATE
 * when it takes no such certificate (a key that is too short, say); `at` is the place in the options.
 */
export function secureContext(options: SecureContextOptions, at: string): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    if (systemCode(error) === 'ERR_SSL_NO_CIPHER_MATCH')
      throw new OptionsError('tls', [{ path: 'tls.ciphers', message: 'names no cipher that OpenSSL knows' }]);
    const reason = error instanceof Error ? error.message.replace(/^error:[0-9A-F]+:/u, '') : String(error);
    throw new CertificateError([{ path: `${at}cert`, message: `is refused by OpenSSL: ${reason}` }], error);
  }
}

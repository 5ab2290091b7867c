import { PortsideError, isPortsideError, systemCode } from '../../base/errors.ts';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import { systemError } from '../system-error.ts';

/** Where it happened. */
export interface Place {
  readonly local: Address;
  readonly remote: Address;
}

/** What codes of OpenSSL and Node mean, as it follows on "the TLS handshake with x failed: ". */
const meanings: Readonly<Record<string, string>> = {
  HTTP_REQUEST: 'it sent an HTTP request without TLS',
  WRONG_VERSION_NUMBER: 'what it sent is not TLS',
  UNKNOWN_PROTOCOL: 'what it sent is not TLS',
  PACKET_LENGTH_TOO_LONG: 'what it sent is not TLS',
  BAD_RECORD_TYPE: 'what it sent is not TLS',
  RECORD_LAYER_FAILURE: 'what it sent is not TLS',
  UNSUPPORTED_PROTOCOL: 'it speaks no version of TLS that is allowed here',
  VERSION_TOO_LOW: 'it speaks no version of TLS that is allowed here',
  TLSV1_ALERT_PROTOCOL_VERSION: 'it takes no version of TLS that is allowed here',
  NO_SHARED_CIPHER: 'it offers no cipher that is allowed here',
  NO_SUITABLE_SIGNATURE_ALGORITHM: 'it knows no signature that the certificate here can give',
  NO_SHARED_GROUP: 'it offers no key exchange that is allowed here',
  SSLV3_ALERT_HANDSHAKE_FAILURE: 'it found no cipher or parameters in common, or wants a client certificate',
  NO_APPLICATION_PROTOCOL: 'none of the protocols that it offers (ALPN) is spoken here',
  TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'it speaks none of the protocols that were offered (ALPN)',
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it showed no certificate, and one is required',
  TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it requires a client certificate, and none was shown',
  TLSV1_ALERT_UNKNOWN_CA: 'it does not know the authority that the certificate here comes from',
  SSLV3_ALERT_BAD_CERTIFICATE: 'it refuses the certificate here',
  SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'it refuses the certificate here',
  SSLV3_ALERT_CERTIFICATE_EXPIRED: 'it holds the certificate here for expired',
  SSLV3_ALERT_CERTIFICATE_REVOKED: 'it holds the certificate here for revoked',
  SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: 'it does not support the kind of certificate here',
  TLSV1_ALERT_ACCESS_DENIED: 'it denies access',
  TLSV1_UNRECOGNIZED_NAME: 'it does not know the name that was asked for (SNI)',
  TLSV1_ALERT_DECRYPT_ERROR: 'it could not verify a signature or a checksum',
  DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 'bytes were changed on the way',
  SSLV3_ALERT_BAD_RECORD_MAC: 'bytes were changed on the way',
  TLSV1_ALERT_RECORD_OVERFLOW: 'a record was too long',
  UNEXPECTED_MESSAGE: 'it sent a message that has no place there',
  SSLV3_ALERT_UNEXPECTED_MESSAGE: 'it was sent a message that has no place there',
  NO_RENEGOTIATION: 'it wanted to negotiate again, which is refused',
};

/** What is wrong with a certificate, by the codes of OpenSSL and Node. */
const faults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate, or one above it, has expired',
  CERT_NOT_YET_VALID: 'its certificate, or one above it, is not valid yet',
  CERT_REVOKED: 'its certificate was revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself and not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'it showed no certificate, or one from an authority that is not known',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an authority that is not known',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate comes from an authority that is not known, or the chain is incomplete',
  CERT_SIGNATURE_FAILURE: 'the signature of its certificate is wrong',
  INVALID_PURPOSE: 'its certificate is not for this purpose',
  INVALID_CA: 'its certificate comes from one that is no authority',
  CERT_UNTRUSTED: 'its certificate is not trusted for this purpose',
  CERT_REJECTED: 'its certificate is not for this purpose',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
};

/** What a certificate that is not good lacks, in words. */
export function faultOf(code: string): string {
  return faults[code] ?? `its certificate can't be verified (${code})`;
}

/** The errors that mean that the connection below broke, and not TLS. */
const BROKEN: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ECONNABORTED',
]);

/** What ended a handshake, as the error to reject with. */
export function handshakeFailure(error: unknown, place: Place): PortsideError {
  if (isPortsideError(error) && error.code.startsWith('ERR_PORTSIDE_')) return error;
  const code = systemCode(error);
  if (code !== undefined && BROKEN.has(code)) {
    if (code !== 'ECONNRESET' && code !== 'EPIPE') return systemError('tls', error, texts(place));
    return resetEarly(place, error);
  }
  return tlsFailure(`the TLS handshake with ${formatAddress(place.remote)} failed`, error, place);
}

/** What ended a connection that TLS was established on. */
export function connectionFailure(op: string, error: unknown, place: Place): PortsideError {
  if (isPortsideError(error)) return error;
  const code = systemCode(error);
  const tls = code === undefined || code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_');
  return tls
    ? tlsFailure(`TLS with ${formatAddress(place.remote)} failed`, error, place)
    : systemError(op, error, texts(place));
}

/** The peer reset the connection before the handshake was done. */
export function resetEarly(place: Place, cause?: unknown): PortsideError {
  const remote = formatAddress(place.remote);
  return new PortsideError(
    'ECONNRESET',
    `${remote} reset the connection during the TLS handshake`,
    detail(place, cause),
  );
}

/** The peer ended the connection before the handshake was done. */
export function endedEarly(place: Place): PortsideError {
  const remote = formatAddress(place.remote);
  return new PortsideError(
    'ERR_PORTSIDE_UNEXPECTED_END',
    `${remote} ended the connection during the TLS handshake`,
    detail(place),
  );
}

/** The peer showed a certificate that is not good, or none. */
export function notAuthorized(code: string, place: Place, cause?: unknown): PortsideError {
  const what = `the TLS handshake with ${formatAddress(place.remote)} failed: ${faultOf(code)}`;
  const more = code === 'ERR_TLS_CERT_ALTNAME_INVALID' && cause instanceof Error ? ` (${cause.message})` : '';
  return new PortsideError('ERR_PORTSIDE_TLS', what + more, detail(place, cause));
}

function tlsFailure(what: string, error: unknown, place: Place): PortsideError {
  const code = systemCode(error) ?? '';
  if (Object.hasOwn(faults, code)) return notAuthorized(code, place, error);
  const meaning = meanings[code.replace(/^ERR_SSL_/u, '')] ?? meaningOf(error);
  return new PortsideError('ERR_PORTSIDE_TLS', `${what}: ${meaning}`, detail(place, error));
}

function meaningOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('code' in error && error.code === 'ERR_TLS_RENEGOTIATION_DISABLED') return meanings['NO_RENEGOTIATION'] ?? '';
  if ('reason' in error && typeof error.reason === 'string') return error.reason;
  const message = error instanceof Error ? error.message : '';
  // As OpenSSL puts it: error:0A00010B:SSL routines::wrong version number:../deps/…
  return /^(?:[A-Z0-9]+:)?error:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/u.exec(message)?.[1] ?? message;
}

function texts(place: Place): { readonly local: string; readonly remote: string } {
  return { local: formatAddress(place.local), remote: formatAddress(place.remote) };
}

function detail(place: Place, cause?: unknown): { op: string; local: string; remote: string; cause: unknown } {
  return { op: 'tls', ...texts(place), cause };
}

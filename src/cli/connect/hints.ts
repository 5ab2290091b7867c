import { isPortsideError, systemCode } from '../../base/errors.ts';
import type { Plan } from './plan.ts';

/** What may help against an error on the way to a connection, as it follows on a semicolon; null when its sentence has said all. */
export function hintFor(error: unknown, { options }: Pick<Plan, 'options'>): string | null {
  if (!isPortsideError(error)) return null;
  const { tls, timeout } = options;
  if (tls !== undefined) {
    const hint = hintForTls(error.code, systemCode(error.cause) ?? '');
    if (hint !== null) return hint;
  }
  if (error.code === 'ERR_PORTSIDE_TIMEOUT' && timeout !== undefined && /did not answer/u.test(error.message))
    return 'it is down, or a firewall drops the packets; --timeout gives it more time';
  return null;
}

const UNKNOWN = '--ca <file> says whom to trust, and --insecure talks to it all the same';

const BY_CAUSE: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER: 'it may speak in the clear: try it without TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it may speak in the clear: try it without TLS',
  ERR_SSL_RECORD_LAYER_FAILURE: 'it may speak in the clear: try it without TLS',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'offer others by --alpn',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: '--cert and --key show a certificate',
  ERR_TLS_CERT_ALTNAME_INVALID: '--servername says which name it is to be for',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN,
};

function hintForTls(code: string, cause: string): string | null {
  const hint = BY_CAUSE[cause];
  if (hint !== undefined) return hint;
  if (code === 'ERR_PORTSIDE_UNEXPECTED_END' || code === 'ECONNRESET')
    return 'it may speak in the clear, or wait for a PROXY header first (--proxy v2), or not let this client in';
  return null;
}

/** What may help against a connection that did not last; `first` are the first bytes that came. */
export function hintAfter(error: unknown, { options }: Pick<Plan, 'options'>, first: Uint8Array): string | null {
  if (!isPortsideError(error)) return null;
  if (options.tls !== undefined) {
    const refused = systemCode(error.cause) === 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED';
    return refused ? '--cert and --key show one' : null;
  }
  if (speaksTls(first)) return TLS_HINT;
  return first.length > 0 || error.code !== 'ECONNRESET' ? null : hintForSilence({ options });
}

/** What a server may want that is sent something and ends without a byte; null under TLS. */
export function hintForSilence({ options }: Pick<Plan, 'options'>): string | null {
  if (options.tls !== undefined) return null;
  const header = options.proxy === undefined ? ', want a PROXY header first (--proxy v2)' : '';
  return `it may want TLS (--tls)${header}, or not let this client in`;
}

export const TLS_HINT = 'what came is an alert of TLS: --tls begins with it';

/** Whether a server answered in the clear with an alert of TLS (RFC 8446, 5.1 and 6): its kind, 21, and version 3.x. */
export function speaksTls(first: Uint8Array): boolean {
  return first[0] === 21 && first[1] === 3 && (first[2] ?? 9) <= 4;
}

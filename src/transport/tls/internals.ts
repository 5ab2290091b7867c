import type { TLSSocket } from 'node:tls';

/** What is not in Node's documentation of a server's TLSSocket, which `tls.Server` does by these; each use says what happens where it is missing. */
interface Insides {
  readonly _handle?: { verifyError?(): (Error & { code?: string }) | null | undefined } | null;
  _releaseControl?(): boolean;
}

/**
 * Why the certificate of a client is not good, as OpenSSL has it (`CERT_HAS_EXPIRED`), or null when it is. OpenSSL goes on whatever it finds, so this
 * has to be asked. Without Node's internals no certificate is good.
 */
export function verifyError(socket: TLSSocket): string | null {
  const { _handle: handle } = socket as unknown as Insides;
  if (typeof handle?.verifyError !== 'function') return 'UNABLE_TO_VERIFY';
  const error = handle.verifyError();
  // A session of TLS 1.3 that was resumed counts as good without any certificate.
  if (error == null) return socket.getPeerX509Certificate() === undefined ? 'UNABLE_TO_GET_ISSUER_CERT' : null;
  return error.code ?? error.message;
}

/**
 * Ends the time in which errors are held to be the handshake's, and not told as `error`. Without Node's internals an error of TLS that
 * comes later is told by `_tlsError` only.
 */
export function releaseControl(socket: TLSSocket): void {
  (socket as unknown as Insides)._releaseControl?.();
}

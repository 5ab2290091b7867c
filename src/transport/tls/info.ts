import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

/** What a TLS connection is, as its handshake left it. */
export interface TlsInfo {
  /** `TLSv1.2`, `TLSv1.3`. */
  readonly protocol: string;
  /** OpenSSL's name of the cipher. */
  readonly cipher: string;
  /** The protocol that was agreed on, or null. */
  readonly alpn: string | null;
  /** The name that was asked for, or null. */
  readonly servername: string | null;
  /** Whether the peer showed a certificate that is good: from a known authority, and on a client for the right name. */
  readonly authorized: boolean;
  /** Why it did not, where it was asked to: OpenSSL's or Node's code, as `CERT_HAS_EXPIRED`; else null. */
  readonly authorizationError: string | null;
  /** The peer's certificate, or null. Read when it is first asked for, which has to be while the connection is open. */
  readonly peerCertificate: X509Certificate | null;
  /** Whether a former session was resumed. */
  readonly resumed: boolean;
}

/** What the two sides know differently. */
export type Verdict = Pick<TlsInfo, 'servername' | 'authorized' | 'authorizationError'>;

/** {@link TlsInfo} of a socket whose handshake is done. */
export class SocketInfo implements TlsInfo {
  readonly protocol: string;
  readonly cipher: string;
  readonly alpn: string | null;
  readonly servername: string | null;
  readonly authorized: boolean;
  readonly authorizationError: string | null;
  readonly resumed: boolean;
  readonly #socket: TLSSocket;
  #certificate: X509Certificate | null = null;

  constructor(socket: TLSSocket, verdict: Verdict) {
    this.#socket = socket;
    this.protocol = socket.getProtocol() ?? 'unknown';
    this.cipher = socket.getCipher()?.name ?? 'unknown';
    // False when there is none.
    this.alpn = typeof socket.alpnProtocol === 'string' && socket.alpnProtocol !== '' ? socket.alpnProtocol : null;
    this.servername = verdict.servername;
    this.authorized = verdict.authorized;
    this.authorizationError = verdict.authorizationError;
    this.resumed = socket.isSessionReused();
  }

  get peerCertificate(): X509Certificate | null {
    this.#certificate ??= this.#socket.getPeerX509Certificate() ?? null;
    return this.#certificate;
  }
}

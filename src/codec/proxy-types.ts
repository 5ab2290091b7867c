import { PortsideError } from '../base/errors.ts';

/** An address in a PROXY header. Hosts are in the text that the system gives them; IPv4-mapped IPv6 is kept as it is. */
export type ProxyAddress =
  | {
      readonly family: 'ipv4' | 'ipv6';
      /** Numeric, without brackets and without a zone. */
      readonly host: string;
      /** 0–65535. */
      readonly port: number;
    }
  | {
      readonly family: 'unix';
      /** Empty for a socket without a name; a leading NUL is Linux' abstract name. */
      readonly path: string;
    };

/** One extension of a header of version 2: a type from 0 to 255, and up to 65,535 bytes. */
export interface ProxyTlv {
  readonly type: number;
  readonly value: Uint8Array;
}

/** What a proxy tells of the TLS that its client spoke. Texts are null when they were not sent, or are not UTF-8. */
export interface ProxySsl {
  /** The client speaks TLS with the proxy. */
  readonly tls: boolean;
  /** The client gave a certificate on this connection. */
  readonly certOnConnection: boolean;
  /** The client gave a certificate at least once in this TLS session. */
  readonly certInSession: boolean;
  /**
   * The client gave a certificate and the proxy found it good. It is what `verifyResult` says only where there was a certificate: HAProxy sends
   * 0 for clients without one too.
   */
  readonly verified: boolean;
  /** What the proxy's verification gave: 0 for success, else its TLS library's number (OpenSSL's `X509_V_ERR_…`). */
  readonly verifyResult: number;
  /** `TLSv1.3` */
  readonly version: string | null;
  /** The common name in the client's certificate. */
  readonly cn: string | null;
  /** `TLS_AES_256_GCM_SHA384` */
  readonly cipher: string | null;
  /** How the proxy's own certificate is signed: `RSA-SHA256`. */
  readonly sigAlg: string | null;
  /** The key of the proxy's own certificate: `RSA2048`. */
  readonly keyAlg: string | null;
  /** All that it holds, those above included. */
  readonly tlvs: readonly ProxyTlv[];
}

/** The extensions of a header that have a meaning of their own. Where one is there twice, the first counts. */
export interface ProxyExtensions {
  /** What was negotiated as the application's protocol: `h2`. Null when not sent or not UTF-8. */
  readonly alpn: string | null;
  /** The host name that the client asked for (TLS' server name). Null when not sent or not UTF-8. */
  readonly authority: string | null;
  /** The proxy's own name for the connection, up to 128 bytes. Null when not sent. */
  readonly uniqueId: Uint8Array | null;
  /** The proxy's network namespace. Null when not sent or not UTF-8. */
  readonly netns: string | null;
  /** Null when not sent. */
  readonly ssl: ProxySsl | null;
}

/** What a proxy tells of the connection that it passes on. */
export interface ProxyHeader extends ProxyExtensions {
  readonly version: 1 | 2;
  /**
   * `proxy`: the connection is passed on for a client. `local`: the proxy speaks for itself, as in a health check. Version 1
   * has no commands: its `UNKNOWN` asks the same of a receiver as `local` does, and is given as that.
   */
  readonly command: 'proxy' | 'local';
  /** The client; null when the header doesn't tell, and then the connection's own address holds. */
  readonly source: ProxyAddress | null;
  /** What the client connected to; null together with `source`. */
  readonly destination: ProxyAddress | null;
  /** What carries the client's bytes; null when the header doesn't tell. */
  readonly transport: 'stream' | 'datagram' | null;
  /** The extensions, in order; without padding (NOOP) and the checksum, which are no news of the connection. Empty when there are no addresses. */
  readonly tlvs: readonly ProxyTlv[];
}

/** A header to be encoded. A {@link ProxyHeader} will do: what it tells twice is taken from `tlvs`. */
export interface ProxyHeaderInit {
  readonly version: 1 | 2;
  /** @default 'proxy' */
  readonly command?: 'proxy' | 'local' | undefined;
  /** The client. With null, or without, the header tells no addresses. */
  readonly source?: ProxyAddress | null | undefined;
  /** What the client connected to; given if and only if `source` is. */
  readonly destination?: ProxyAddress | null | undefined;
  /** @default 'stream' where there are addresses */
  readonly transport?: 'stream' | 'datagram' | null | undefined;
  /** Extensions, for version 2. See `proxyTlvs` for those with a meaning of their own. */
  readonly tlvs?: readonly ProxyTlv[] | undefined;
}

/** The extensions of a header that has none. */
export const noExtensions: ProxyExtensions = Object.freeze({
  alpn: null,
  authority: null,
  uniqueId: null,
  netns: null,
  ssl: null,
});

export const noTlvs: readonly ProxyTlv[] = Object.freeze([]);

/** A header that can't be: ERR_PORTSIDE_PROXY_HEADER, with what is wrong as a sentence about the header. */
export function proxyInvalid(op: 'decode' | 'encode', what: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_PROXY_HEADER', `PROXY header: ${what}`, { op });
}

import { TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { PortsideError } from '../../base/errors.ts';
import type { Carrier } from './carrier.ts';
import { pickContext } from './context.ts';
import type { ServerMaterial } from './context.ts';
import { notAuthorized } from './failure.ts';
import type { Verdict } from './info.ts';
import { verifyError } from './internals.ts';
import type { Side } from './side.ts';

/** How a server begins TLS, and whom it lets in. */
export class ServerSide implements Side {
  readonly event = 'secure';
  readonly #material: ServerMaterial;

  constructor(material: ServerMaterial) {
    this.#material = material;
  }

  prepare(): null {
    return null;
  }

  begin(carrier: Carrier): TLSSocket {
    const material = this.#material;
    const { alpn, clientCertificate = 'none' } = material.options;
    const named = material.certificates.length > 1;
    return new TLSSocket(carrier.stream, {
      isServer: true,
      secureContext: material.fallback,
      requestCert: clientCertificate !== 'none',
      rejectUnauthorized: clientCertificate === 'require',
      ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
      ...(named
        ? {
            SNICallback: (name: string, give: (error: null, context: SecureContext) => void) =>
              give(null, pickContext(material, name)),
          }
        : {}),
    });
  }

  judge(socket: TLSSocket, carrier: Carrier): Verdict | PortsideError {
    const { clientCertificate = 'none' } = this.#material.options;
    const { servername } = socket as unknown as { readonly servername?: string | false | null };
    const name = typeof servername === 'string' && servername !== '' ? servername : null;
    if (clientCertificate === 'none') return { servername: name, authorized: false, authorizationError: null };
    const error = verifyError(socket);
    if (error !== null && clientCertificate === 'require') return notAuthorized(error, carrier);
    return { servername: name, authorized: error === null, authorizationError: error };
  }
}

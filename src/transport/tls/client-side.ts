import { isIP } from 'node:net';
import { checkServerIdentity, connect } from 'node:tls';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import { PortsideError } from '../../base/errors.ts';
import type { Carrier } from './carrier.ts';
import { clientContext } from './client-context.ts';
import type { TlsClientOptions } from './client.ts';
import type { Verdict } from './info.ts';
import { Sessions, openSession } from './session.ts';
import type { Side } from './side.ts';

/** How a client begins TLS, and whom it trusts. */
export class ClientSide implements Side {
  readonly event = 'secureConnect';
  readonly #options: TlsClientOptions;
  /** What the certificate has to cover. */
  readonly #name: string | undefined;
  #context: SecureContext | null = null;
  #sessions: Sessions | null = null;

  constructor(options: TlsClientOptions, host: string | undefined) {
    this.#options = options;
    this.#name = (options.servername ?? host)?.replace(/\.$/u, '');
  }

  prepare(): Promise<void> | null {
    const { rejectUnauthorized = true, checkServerIdentity: judge } = this.#options;
    if (this.#name === undefined && rejectUnauthorized && judge === undefined)
      throw new PortsideError(
        'ERR_PORTSIDE_OPTIONS',
        'tls.servername has to be given: there is no host name to hold the certificate against',
        { op: 'tls' },
      );
    const context = clientContext(this.#options);
    if (!(context instanceof Promise)) {
      this.#context = context;
      return null;
    }
    return context.then((made) => {
      this.#context = made;
    });
  }

  begin(carrier: Carrier): TLSSocket {
    const { alpn, session, onSession, rejectUnauthorized = true } = this.#options;
    const name = this.#name;
    const resumed = session === undefined ? null : openSession(session, name ?? '');
    const options: ConnectionOptions = {
      socket: carrier.stream,
      secureContext: this.#context as SecureContext,
      rejectUnauthorized,
      checkServerIdentity: this.#options.checkServerIdentity ?? checkServerIdentity,
      ...(name === undefined ? {} : { host: name }),
      ...(name === undefined || isIP(name) !== 0 ? {} : { servername: name }),
      ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
      ...(resumed === null ? {} : { session: resumed }),
    };
    const socket = connect(options);
    if (onSession !== undefined) this.#sessions = new Sessions(socket, name ?? '', onSession);
    return socket;
  }

  judge(socket: TLSSocket): Verdict {
    const name = this.#name;
    const { authorized } = socket;
    const problem = authorized ? null : String(socket.authorizationError ?? 'UNABLE_TO_VERIFY');
    this.#sessions?.verified(authorized);
    const asked = name === undefined || isIP(name) !== 0 ? null : name;
    return { servername: asked, authorized, authorizationError: problem };
  }
}

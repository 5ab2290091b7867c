import type { TLSSocket } from 'node:tls';
import { PortsideError } from '../../base/errors.ts';
import { formatAddress } from '../address.ts';
import type { Channel, Released, SocketOption } from '../contract.ts';
import { NodeChannel } from '../node/channel.ts';
import type { Carrier } from './carrier.ts';
import { connectionFailure } from './failure.ts';
import type { TlsInfo } from './info.ts';

const EMPTY = new Uint8Array(0);

/** A channel under TLS. */
export interface SecureChannel extends Channel {
  readonly tls: TlsInfo;
}

/**
 * A channel over a `tls.TLSSocket` whose handshake is done. Beside the rules of the contract:
 *
 * - Bytes may be read ahead before flow is first turned on, up to the stream's high-water mark (64 KiB) and a read of the kernel: TLS can't leave
 *   them to the kernel that came with the handshake.
 * - `shutdown()` and `destroy('flush')` send a close_notify before the FIN. `destroy('drop')` sends a bare FIN.
 * - Node tells a FIN without a close_notify before it, a truncation, as an ordinary end. A protocol must not take the end of a connection for the end of
 *   a message that does not say its length.
 * - What the peer sends after its close_notify is ignored (RFC 8446, 6.1), a reset too.
 * - It can't be released: the keys and the state of a TLS connection don't leave OpenSSL.
 */
export class TlsChannel extends NodeChannel implements SecureChannel {
  readonly tls: TlsInfo;
  readonly #socket: TLSSocket;
  readonly #carrier: Carrier;

  constructor(socket: TLSSocket, carrier: Carrier, tls: TlsInfo) {
    super(socket, carrier.local, carrier.remote);
    this.#socket = socket;
    this.#carrier = carrier;
    this.tls = tls;
    socket.pause();
    // The handshake began to read, so the peer's end may come before flow is on.
    this.attend();
  }

  /** What is sent is encrypted as a whole, and leaves piece by piece. */
  override get progress(): number {
    return this.#carrier.progress;
  }

  /** Throws ERR_PORTSIDE_UNSUPPORTED, and gives null once it is closed. */
  override release(): Released | null {
    if (this.closed) return null;
    throw new PortsideError(
      'ERR_PORTSIDE_UNSUPPORTED',
      'a connection under TLS can not be handed over: its keys stay in this thread',
      { op: 'release', local: formatAddress(this.local), remote: formatAddress(this.remote) },
    );
  }

  // A TLS socket remembers what it set, and knows nothing of what was set below it.
  override set(option: SocketOption): void {
    if (!this.closed) this.#carrier.set(option);
  }

  override ref(on: boolean): void {
    if (!this.closed) this.#carrier.ref(on);
  }

  protected override endOutput(): void {
    // While records of the handshake are on their way, OpenSSL's close_notify would miss the FIN. This is done after them.
    this.#socket.write(EMPTY);
    this.#socket.end();
  }

  protected override failure(op: string, error: Error): PortsideError {
    return connectionFailure(op, error, this);
  }

  // Node refuses to reset a TLS socket, and destroys it when what is below has closed. It must not be destroyed here: without a socket below its
  // `close` comes at once, inside of this call.
  protected override resetSocket(): void {
    this.#carrier.reset();
  }
}

import type { TLSSocket } from 'node:tls';
import type { PortsideError } from '../../base/errors.ts';
import type { Carrier } from './carrier.ts';
import type { Verdict } from './info.ts';

/** What a client and a server do differently. */
export interface Side {
  /** Told by the socket when the handshake is done. */
  readonly event: 'secure' | 'secureConnect';
  /** What has to be done first, or null. */
  prepare(): Promise<void> | null;
  begin(carrier: Carrier): TLSSocket;
  /** Whom the peer is known to be, or why it may not come in. */
  judge(socket: TLSSocket, carrier: Carrier): Verdict | PortsideError;
}

import type { Socket } from 'node:net';
import { tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';

/** The addresses of a socket that are known; a channel holds one field for both, as most are never asked for. */
export interface Addresses {
  readonly local: Address | null;
  readonly remote: Address | null;
}

/** What a socket is said to have that can't tell any more. */
export const UNKNOWN: Address = { family: 'ipv4', host: '0.0.0.0', port: 0 };

/** What is known, with this side's address, if the socket can tell it. */
export function withLocal(known: Addresses | null, socket: Socket): Addresses | null {
  if (known !== null && known.local !== null) return known;
  const { localAddress, localPort } = socket;
  if (localAddress === undefined || localPort === undefined) return known;
  return { local: tcpAddress(localAddress, localPort), remote: known?.remote ?? null };
}

/** What is known, with the peer's address, if the socket can tell it. */
export function withRemote(known: Addresses | null, socket: Socket): Addresses | null {
  if (known !== null && known.remote !== null) return known;
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return known;
  return { local: known?.local ?? null, remote: tcpAddress(remoteAddress, remotePort) };
}

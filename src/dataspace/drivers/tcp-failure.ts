import { PortsideError, systemCode } from '../../base/errors.ts';
import { closedError } from '../../net/link-errors.ts';
import type { Link } from '../../net/link.ts';
import type { RecordOf } from '../record.ts';
import { tcpFailed } from './tcp-channel.ts';
import type { TcpLocal } from './tcp-channel.ts';
import type { TcpPeer } from './tcp-places.ts';

/** What `tcpFailed` makes. */
export type TcpFailed = RecordOf<typeof tcpFailed>;

/** An error as it is published. An error without a code is a mistake of this house, and is thrown on. */
export function failureOf(local: TcpLocal, remote: TcpPeer | null, error: unknown): TcpFailed {
  const code = systemCode(error);
  if (code === undefined) throw error;
  return tcpFailed(local, remote, code, (error as Error).message);
}

/** What became of a connection that is over, or being ended. */
export function lossOf(local: TcpLocal, remote: TcpPeer, inside: Link): TcpFailed {
  return failureOf(local, remote, closedError(inside, 'read'));
}

/** What somebody in the space did wrong with a connection, which ends it. */
export function misuse(code: string, message: string): PortsideError {
  return new PortsideError(code, message, { op: 'tcpChannel' });
}

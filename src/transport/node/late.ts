import type { PortsideError } from '../../base/errors.ts';
import type { ChannelEnd } from '../contract.ts';

/** What a channel has to tell once flow is on, in this order. */
export class Late {
  readonly unread: Uint8Array[] = [];
  /** The peer's end was not told yet. */
  end = false;
  /** Why Node destroyed the socket. */
  error: PortsideError | null = null;
  /** The failure is told with flow off too, because output was lost to it. */
  urgent = false;
  /** The last thing to tell, known once the socket is closed. */
  close: ChannelEnd | null = null;

  /** Of a socket that comes from elsewhere, and may be over already. */
  static of(unread: readonly Uint8Array[], ended: boolean, destroyed: boolean): Late {
    const late = new Late();
    late.unread.push(...unread);
    late.end = ended;
    if (destroyed) late.close = { kind: 'ended' };
    return late;
  }

  /** Nothing comes any more but the close. */
  get onlyClose(): boolean {
    return this.close !== null && this.unread.length === 0 && !this.end;
  }
}

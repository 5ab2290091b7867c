import type { ChannelEnd } from '../contract.ts';

/** What of a channel waits for flow to be on, or for a fresh stack. */
export interface Late {
  unread: Uint8Array[];
  end: boolean;
  /** errno, or 0. */
  readError: number;
  close: ChannelEnd | null;
}

export function nothingLate(): Late {
  return { unread: [], end: false, readError: 0, close: null };
}

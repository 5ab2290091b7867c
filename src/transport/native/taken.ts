import type { Address } from '../address.ts';
import { NativeChannel } from './channel.ts';
import {
  CTL_FAMILY,
  CTL_GEN,
  CTL_HOST,
  CTL_PATH,
  CTL_PORT,
  CTL_STATE,
  STATE_ENDED,
  STATE_LETTER,
  STATE_TUNED,
  STATE_UNREAD,
} from './layout.ts';
import { disclose } from './letter.ts';
import type { NativeLoop } from './loop.ts';
import { UNKNOWN } from './peer.ts';

const UNNAMED: Address = { family: 'unix', path: '' };

/** The channel over a slot that the core has just made, with what it left in the control words. `tuned`: its listener's options are its own. */
export function takenChannel(loop: NativeLoop, slot: number, tuned: boolean): NativeChannel {
  const { ctl } = loop;
  const state = ctl[CTL_STATE] as number;
  const channel = new NativeChannel(loop, slot, ctl[CTL_GEN] as number, peerOf(loop, slot));
  if (tuned) channel.tuning = STATE_TUNED;
  if (state === 0) return channel;
  channel.tuning = state & STATE_TUNED;
  if (state === STATE_TUNED) return channel;
  if ((state & STATE_UNREAD) === 0) return channel.resume([], state);
  const unread = new Uint8Array(loop.addon.unread());
  if ((state & STATE_LETTER) === 0) return channel.resume([unread], state);
  const { letter, rest } = disclose(unread);
  channel.letter = letter;
  return channel.resume(rest.length === 0 ? [] : [rest], state);
}

/** The channel over a slot that the core has just made of a foreign descriptor. */
export function adoptedChannel(
  loop: NativeLoop,
  slot: number,
  unread: readonly Uint8Array[],
  ended: boolean,
): NativeChannel {
  const gen = loop.ctl[CTL_GEN] as number;
  const channel = new NativeChannel(loop, slot, gen, loop.address(slot, gen, true) ?? UNKNOWN);
  return channel.resume(unread, ended ? STATE_ENDED : 0);
}

/** An IPv4 address is a number: 32 bits of host in network order, 16 of port. Its text is made when somebody asks for it. */
function peerOf(loop: NativeLoop, slot: number): Address | number {
  const { ctl } = loop;
  const family = ctl[CTL_FAMILY];
  if (family === 4) return ((ctl[CTL_HOST] as number) >>> 0) * 65536 + (ctl[CTL_PORT] as number);
  if (family === 6) return loop.addressFound();
  return ctl[CTL_PATH] === 0 ? UNNAMED : (loop.address(slot, ctl[CTL_GEN] as number, true) ?? UNNAMED);
}

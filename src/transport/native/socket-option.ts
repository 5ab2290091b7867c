import type { SocketOption } from '../contract.ts';
import type { Addon } from './layout.ts';

const NO_DELAY = 0;
const KEEP_ALIVE = 1;
const USER_TIMEOUT = 2;

/** Sets an option of a connection, or of a listening socket for all that come of it; 0, or a negative errno. */
export function setOption(addon: Addon, slot: number, gen: number, option: SocketOption): number {
  if (option.kind === 'noDelay') return addon.set(slot, gen, NO_DELAY, option.on ? 1 : 0);
  // The kernel takes whole seconds, from 1 to 32,767 (tcp(7)).
  const seconds = Math.max(1, Math.min(32_767, Math.round(option.delay / 1_000)));
  return addon.set(slot, gen, KEEP_ALIVE, option.on ? seconds : 0);
}

/** Sets how long sent data may go without an acknowledgement, in milliseconds; 0 for the system's habit. Whether it could be. */
export function setUserTimeout(addon: Addon, slot: number, gen: number, milliseconds: number): boolean {
  return addon.set(slot, gen, USER_TIMEOUT, Math.min(2_147_483_647, Math.round(milliseconds))) === 0;
}

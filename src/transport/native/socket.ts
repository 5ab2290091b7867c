import { TCP_INFO_BYTES, readTcpInfo } from '../tcp-info.ts';
import type { TcpInfo } from '../tcp-info.ts';
import type { NativeLoop } from './loop.ts';
import { setUserTimeout } from './socket-option.ts';

/** A slot of the core that has a connected socket. With a generation that has passed, the core does nothing. */
export abstract class NativeSocket {
  readonly gen: number;
  protected readonly loop: NativeLoop;
  protected readonly slot: number;

  constructor(loop: NativeLoop, slot: number, gen: number) {
    this.loop = loop;
    this.slot = slot;
    this.gen = gen;
  }

  /** Whether it is over, though the core may not know it yet. */
  abstract get closed(): boolean;

  userTimeout(milliseconds: number): boolean {
    return !this.closed && setUserTimeout(this.loop.addon, this.slot, this.gen, milliseconds);
  }

  tcpInfo(): TcpInfo | null {
    if (this.closed) return null;
    const bytes = new Uint8Array(TCP_INFO_BYTES);
    return this.loop.addon.info(this.slot, this.gen, bytes) < 0 ? null : readTcpInfo(bytes);
  }
}

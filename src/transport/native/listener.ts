import { unlinkSync } from 'node:fs';
import { formatAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type { SocketOption, Tuning } from '../contract.ts';
import { NativeAcceptor } from './acceptor.ts';
import { failure } from './failure.ts';
import type { NativeLoop } from './loop.ts';
import { setOption } from './socket-option.ts';

/** A listening socket of the native core. Clients wait in the kernel until they are taken. */
export class NativeListener extends NativeAcceptor {
  /** The file to remove when it closes, or null. */
  readonly #file: string | null;

  constructor(loop: NativeLoop, slot: number, gen: number, address: Address, file: string | null) {
    super(loop, slot, gen, address, true);
    this.#file = file;
  }

  /** Has all connections begin with these options, which Linux copies from the listening socket; where it can't be, each is given its own. */
  tune({ noDelay, keepAlive }: Tuning): void {
    const { addon } = this.loop;
    const set = (option: SocketOption): boolean => setOption(addon, this.slot, this.gen, option) === 0;
    const alive: SocketOption = {
      kind: 'keepAlive',
      on: keepAlive !== false,
      delay: keepAlive === false ? 0 : keepAlive,
    };
    this.tuned = set({ kind: 'noDelay', on: noDelay }) && set(alive);
  }

  override close(): void {
    if (this.open && this.#file !== null) {
      try {
        unlinkSync(this.#file);
      } catch {
        // Somebody has removed the file already; what counts is that the port closes.
      }
    }
    super.close();
  }

  /**
   * Its port stays open, and its clients stay where they are, until the last descriptor is closed. Where several threads listen on descriptors of one socket, a
   * client wakes all that want one, and the first to take it has it; with one socket each (`reusePort`) it wakes one.
   */
  share(): number {
    const fd = this.loop.addon.share(this.slot, this.gen);
    if (fd < 0) throw failure('share', -fd, { local: formatAddress(this.address) });
    return fd;
  }
}

import { PortsideError } from '../../base/errors.ts';
import { formatAddress, tcpAddress } from '../address.ts';
import type { Channel, Dial, DialTarget } from '../contract.ts';
import { NativeChannel } from './channel.ts';
import { failure } from './failure.ts';
import { CTL_GEN, KIND_TCP, KIND_UNIX } from './layout.ts';
import type { NativeLoop, SocketEvents } from './loop.ts';

/** A connection that the native core makes. */
export class NativeDial implements Dial, SocketEvents {
  readonly result: Promise<Channel>;
  readonly gen: number;
  readonly #loop: NativeLoop;
  readonly #slot: number;
  readonly #place: { readonly local: string | undefined; readonly remote: string };
  readonly #target: Exclude<DialTarget, { kind: 'memory' }>;
  #resolve!: (channel: Channel) => void;
  #reject!: (error: PortsideError) => void;
  #waiting = true;

  constructor(loop: NativeLoop, target: Exclude<DialTarget, { kind: 'memory' }>) {
    this.#loop = loop;
    this.#target = target;
    const bound = target.kind === 'tcp' ? localOf(target) : undefined;
    this.#place = {
      remote: formatAddress(
        target.kind === 'unix' ? { family: 'unix', path: target.path } : tcpAddress(target.host, target.port),
      ),
      local:
        bound === undefined
          ? undefined
          : formatAddress(tcpAddress(bound, target.kind === 'tcp' ? (target.localPort ?? 0) : 0)),
    };
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A dial that was called off need not be waited for.
    this.result.catch(() => {});
    const { addon } = loop;
    this.#slot =
      target.kind === 'unix'
        ? addon.dial(KIND_UNIX, target.path, 0, undefined, 0)
        : addon.dial(KIND_TCP, target.host, target.port, bound, target.localPort ?? 0);
    this.gen = loop.ctl[CTL_GEN] as number;
    if (this.#slot < 0) {
      this.#waiting = false;
      this.#reject(failure('connect', -this.#slot, this.#place));
      return;
    }
    loop.sockets.set(this.#slot, this);
    loop.ref();
  }

  cancel(): void {
    if (!this.#waiting) return;
    this.#settled();
    this.#loop.addon.close(this.#slot, this.gen);
    this.#reject(
      new PortsideError('ERR_PORTSIDE_ABORTED', `connecting to ${this.#place.remote} was called off`, {
        op: 'connect',
        ...this.#place,
      }),
    );
  }

  onReady(errno: number): void {
    this.#settled();
    if (errno !== 0) {
      this.#reject(failure('connect', errno, this.#place));
      return;
    }
    const target = this.#target;
    const remote =
      target.kind === 'unix'
        ? ({ family: 'unix', path: target.path } as const)
        : (this.#loop.address(this.#slot, this.gen, true) ?? tcpAddress(target.host, target.port));
    this.#resolve(new NativeChannel(this.#loop, this.#slot, this.gen, remote));
  }

  #settled(): void {
    this.#waiting = false;
    this.#loop.sockets.delete(this.#slot);
    this.#loop.unref();
  }
}

/** The local host to bind to; a port alone is bound on all addresses of the family. */
function localOf(target: Extract<DialTarget, { kind: 'tcp' }>): string | undefined {
  if (target.localHost !== undefined || target.localPort === undefined || target.localPort === 0)
    return target.localHost;
  return target.host.includes(':') ? '::' : '0.0.0.0';
}

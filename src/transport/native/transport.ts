import { PortsideError } from '../../base/errors.ts';
import { formatAddress, tcpAddress } from '../address.ts';
import type { Address } from '../address.ts';
import type {
  Acceptor,
  BindOptions,
  BindTarget,
  Channel,
  Dial,
  DialTarget,
  Released,
  Transport,
  TransportFlags,
} from '../contract.ts';
import type { Passages } from '../passage.ts';
import { NativeDial } from './dial.ts';
import { failure } from './failure.ts';
import {
  CTL_GEN,
  KIND_FD,
  KIND_TCP,
  KIND_UNIX,
  LISTEN_IPV6_ONLY,
  LISTEN_REUSE_ADDRESS,
  LISTEN_REUSE_PORT,
} from './layout.ts';
import { NativeListener } from './listener.ts';
import { nativeLoop } from './loop.ts';
import type { NativeLoop } from './loop.ts';
import { nativePassages } from './passage.ts';
import { adoptedChannel } from './taken.ts';

const flags: TransportFlags = {
  kernelQueue: true,
  reusePort: true,
  reset: true,
  transfer: true,
  handOver: true,
  tcp: true,
  unix: true,
  memory: false,
  descriptors: true,
  borrows: true,
};

class NativeTransport implements Transport {
  readonly name = 'native';
  readonly flags: TransportFlags = flags;
  readonly passages: Passages;
  readonly #loop: NativeLoop;

  constructor(loop: NativeLoop) {
    this.#loop = loop;
    this.passages = nativePassages(loop);
  }

  listen(target: BindTarget, options: BindOptions): Promise<Acceptor> {
    return new Promise((resolve) => resolve(this.#bind(target, options)));
  }

  dial(target: DialTarget): Dial {
    if (target.kind !== 'memory') return new NativeDial(this.#loop, target);
    const result = Promise.reject(unsupported('connect', 'has no memory network; dial with the memory transport'));
    result.catch(() => {});
    return { result, cancel() {} };
  }

  adopt(released: Released): Channel {
    if (released.kind !== 'fd') {
      throw unsupported(
        'adopt',
        `takes descriptors, and this is a ${released.kind} connection; let the transport adopt it that released it`,
      );
    }
    const loop = this.#loop;
    const slot = loop.addon.adopt(released.fd, released.ended ? 1 : 0);
    if (slot < 0) throw failure('adopt', -slot, { local: `fd://${released.fd}` });
    return adoptedChannel(loop, slot, released.unread, released.ended);
  }

  #bind(target: BindTarget, options: BindOptions): Acceptor {
    const loop = this.#loop;
    const { addon } = loop;
    let slot: number;
    switch (target.kind) {
      case 'memory':
        throw unsupported('listen', 'has no memory network; listen with the memory transport');
      case 'unix':
        if (options.reusePort) throw unsupported('listen', 'shares TCP ports only, not unix sockets');
        slot = addon.listen(KIND_UNIX, target.path, 0, 0, options.backlog);
        break;
      case 'fd':
        slot = addon.listen(KIND_FD, '', target.fd, 0, options.backlog);
        break;
      case 'tcp': {
        const bits =
          (options.reuseAddress === false ? 0 : LISTEN_REUSE_ADDRESS) |
          (options.reusePort ? LISTEN_REUSE_PORT : 0) |
          (target.ipv6Only ? LISTEN_IPV6_ONLY : 0);
        slot = addon.listen(KIND_TCP, target.host, target.port, bits, options.backlog);
        break;
      }
    }
    if (slot < 0) throw failure('listen', -slot, { local: nameOf(target) });
    const gen = loop.ctl[CTL_GEN] as number;
    const address: Address | null =
      target.kind === 'unix' ? { family: 'unix', path: target.path } : loop.address(slot, gen, false);
    if (address === null) {
      addon.close(slot, gen);
      throw failure('listen', 22, { local: nameOf(target) });
    }
    const file = target.kind === 'unix' && !target.path.startsWith('\0') ? target.path : null;
    const listener = new NativeListener(loop, slot, gen, address, file);
    if (options.tuning !== undefined && address.family !== 'unix') listener.tune(options.tuning);
    return listener;
  }
}

function nameOf(target: Exclude<BindTarget, { kind: 'memory' }>): string {
  switch (target.kind) {
    case 'tcp':
      return formatAddress(tcpAddress(target.host, target.port));
    case 'unix':
      return formatAddress({ family: 'unix', path: target.path });
    case 'fd':
      return target.address === undefined ? `fd://${target.fd}` : formatAddress(target.address);
  }
}

function unsupported(op: string, what: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `the native transport ${what}`, { op });
}

let transport: NativeTransport | undefined;

/**
 * The transport over the native core, one per thread; Linux only.
 *
 * Throws ERR_PORTSIDE_UNSUPPORTED, with the reason, where the core does not load; ask `loadNative()` first to avoid that.
 */
export function nativeTransport(): Transport {
  transport ??= new NativeTransport(nativeLoop());
  return transport;
}

import { PortsideError } from '../base/errors.ts';
import type { Transport } from '../transport/contract.ts';
import { loadNative } from '../transport/native/load.ts';
import { nativeTransport } from '../transport/native/transport.ts';
import { nodeTransport } from '../transport/node/transport.ts';

/** Which backend carries the bytes: one by name, or one of your own. `auto` is the one that is best where the program runs. */
export type TransportChoice = 'auto' | 'node' | 'native' | Transport;

/**
 * The transport for a choice. Without one, the environment variable PORTSIDE_TRANSPORT decides, and without that `auto`, which is `node`.
 * `native` where it can't be loaded is ERR_PORTSIDE_UNSUPPORTED, with the reason.
 */
export function transportFor(choice: TransportChoice | undefined): Transport {
  const chosen = choice ?? process.env['PORTSIDE_TRANSPORT'] ?? 'auto';
  if (typeof chosen !== 'string') return chosen;
  switch (chosen) {
    case '':
    case 'auto':
    case 'node':
      return nodeTransport;
    case 'native':
      return nativeTransport();
    default:
      throw new PortsideError(
        'ERR_PORTSIDE_OPTIONS',
        `PORTSIDE_TRANSPORT is ${JSON.stringify(chosen)}; it can be "auto", "node" or "native"`,
        { op: 'transport' },
      );
  }
}

/** The transport that is taken when nobody names one, and why it is not the native core. */
export interface AutoTransport {
  readonly name: string;
  /** The native core can't be had here, for this reason; or it can, and is left until it is asked for; or it is what `auto` takes. */
  readonly native:
    | { readonly kind: 'missing'; readonly reason: string }
    | { readonly kind: 'on-request' }
    | { readonly kind: 'taken' };
}

/** What `auto` comes to where the program runs. Never throws. */
export function autoTransport(): AutoTransport {
  const { name } = transportFor('auto');
  if (name === 'native') return { name, native: { kind: 'taken' } };
  const native = loadNative();
  return { name, native: 'reason' in native ? { kind: 'missing', reason: native.reason } : { kind: 'on-request' } };
}

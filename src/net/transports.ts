import { PortsideError } from '../base/errors.ts';
import type { Transport } from '../transport/contract.ts';
import { loadNative } from '../transport/native/load.ts';
import { nativeTransport } from '../transport/native/transport.ts';
import { inCluster } from '../transport/node/cluster.ts';
import { nodeTransport } from '../transport/node/transport.ts';

/**
 * Which backend carries the bytes: one by name, or one of your own. `auto` is what the environment variable PORTSIDE_TRANSPORT says, and where it says nothing,
 * the native core where it runs, else node. {@link autoTransport} tells which, and why.
 */
export type TransportChoice = 'auto' | 'node' | 'native' | Transport;

/** What `transport: 'auto'` comes to. */
export interface AutoTransport {
  readonly name: 'node' | 'native';
  /** The one reason, as a sentence without its full stop: what decided, or why the native core can't be had here. */
  readonly why: string;
}

/** What runs on this thread where nobody chose; found once, as listeners and connections of one thread had better be alike. */
let found: { readonly transport: Transport; readonly auto: AutoTransport } | undefined;

/** The transport for a choice; without one, `auto`. What is thrown is told at {@link autoTransport}. `native` is ERR_PORTSIDE_UNSUPPORTED where it can't be had. */
export function transportFor(choice: TransportChoice | undefined): Transport {
  const chosen = choice === undefined || choice === 'auto' ? fromEnvironment() : choice;
  switch (chosen) {
    case 'auto':
      return (found ??= find()).transport;
    case 'node':
      return nodeTransport;
    case 'native':
      return nativeTransport();
    default:
      return chosen;
  }
}

/** The name of the transport for a choice; of one that can't be had, the name that was asked for. Never throws. */
export function transportName(choice: TransportChoice | undefined): string {
  try {
    return transportFor(choice).name;
  } catch {
    return choice === 'native' ? choice : String(process.env['PORTSIDE_TRANSPORT']);
  }
}

/**
 * Which transport carries the bytes on this thread where `transport` is left out or `'auto'`, and why.
 *
 * PORTSIDE_TRANSPORT decides if it is set. Else it is `native` where the native core loads and starts (Linux, with a binary for this processor and C library, built
 * or brought along by the package), and `node` elsewhere. In a worker of `node:cluster` it is `node` too, since the port is shared by node:net there.
 *
 * Throws ERR_PORTSIDE_OPTIONS when PORTSIDE_TRANSPORT is none of `auto`, `node` and `native`, and ERR_PORTSIDE_UNSUPPORTED, with the reason, when it is `native` and
 * that can't be had: as `listen` and `connect` do.
 */
export function autoTransport(): AutoTransport {
  const said = fromEnvironment();
  if (said === 'auto') return (found ??= find()).auto;
  if (said === 'native') nativeTransport();
  return { name: said, why: `PORTSIDE_TRANSPORT is ${said}` };
}

function fromEnvironment(): 'auto' | 'node' | 'native' {
  const said = process.env['PORTSIDE_TRANSPORT'] ?? '';
  switch (said) {
    case '':
      return 'auto';
    case 'auto':
    case 'node':
    case 'native':
      return said;
    default:
      throw new PortsideError(
        'ERR_PORTSIDE_OPTIONS',
        `PORTSIDE_TRANSPORT is ${JSON.stringify(said)}; it can be "auto", "node" or "native"`,
        { op: 'transport' },
      );
  }
}

function find(): { readonly transport: Transport; readonly auto: AutoTransport } {
  if (inCluster())
    return onNode('this is a worker of node:cluster, and it is node:net that shares ports between those');
  const loaded = loadNative();
  if ('reason' in loaded) return onNode(loaded.reason);
  try {
    const transport = nativeTransport();
    return { transport, auto: { name: 'native', why: `the native core loads, from ${loaded.path}` } };
  } catch (error) {
    // It needs memory of its own outside of V8's, which some programs that embed Node forbid.
    return onNode(`the native core does not start: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function onNode(why: string): { readonly transport: Transport; readonly auto: AutoTransport } {
  return { transport: nodeTransport, auto: { name: 'node', why } };
}

import { randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { PortsideError } from '../base/errors.ts';
import { OptionsError } from '../base/options.ts';
import { parseEndpoint } from '../net/endpoint.ts';
import { listenEndpoint, saysTcp } from '../net/listen.ts';
import { transportFor } from '../net/transports.ts';
import type { ClientPrefixes } from '../server/client-key.ts';
import { placesOf } from '../server/options.ts';
import type { EndpointOptions, ServerOptions } from '../server/options.ts';
import type { Transport } from '../transport/contract.ts';
import { loadNative } from '../transport/native/load.ts';
import { TlsServerContext } from '../transport/tls/context.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { hashPrefixes } from './dispatch.ts';
import type { Dispatch } from './dispatch.ts';
import type { ParallelOptions } from './options.ts';
import { checkTravel } from './travel.ts';

/** How connections come to the workers. */
export interface Plan {
  readonly transport: Transport;
  /** How a worker finds the same: a name, or a module. */
  readonly transportName: string;
  /**
   * - `handed`: the parent accepts, and hands them over.
   * - `shared`: the workers accept, on sockets that stay with the parent.
   * - `bound`: the workers bind and accept.
   */
  readonly way: 'handed' | 'shared' | 'bound';
  readonly places: readonly EndpointOptions[];
  /** The option `tls`, with ticket keys that all workers share. */
  readonly tls: TlsServerOptions | undefined;
}

/** Finds the best way that the platform has for what is asked for. What can't be had together is an error that says what can. */
export async function planOf(options: ParallelOptions): Promise<Plan> {
  const { transport, name } = await transportOf(options.transport);
  const { transport: _, ...rest } = options;
  const given = placesOf(rest as ServerOptions);
  checkPlaces(given);
  checkTravel(options);
  const tls = withTickets(options.tls as TlsServerOptions | undefined);
  const places = given.map((place) => ({ ...place, ...ticketsOf(place, options, tls) }));
  if (options.dispatch === 'kernel') {
    checkKernel(options, places, transport);
    return { transport, transportName: name, way: hasShare(transport) ? 'shared' : 'bound', places, tls };
  }
  checkHanded(options, places, transport);
  return { transport, transportName: name, way: 'handed', places, tls };
}

/** A session that one worker began is resumed by any. */
function withTickets(tls: TlsServerOptions | undefined): TlsServerOptions | undefined {
  return tls === undefined || tls.ticketKeys !== undefined ? tls : { ...tls, ticketKeys: randomBytes(48) };
}

function ticketsOf(
  { tls }: EndpointOptions,
  options: ParallelOptions,
  common: TlsServerOptions | undefined,
): Pick<EndpointOptions, 'tls'> {
  if (tls === undefined) return {};
  return { tls: tls === options.tls ? common : withTickets(tls as TlsServerOptions) };
}

async function transportOf(choice: ParallelOptions['transport']): Promise<{ transport: Transport; name: string }> {
  if (choice instanceof URL) {
    const module = (await import(choice.href)) as { transport?: Transport };
    if (typeof module.transport?.listen !== 'function')
      throw wrong('options.transport', `names a module that exports no transport: ${choice.href}`);
    return { transport: module.transport, name: choice.href };
  }
  const transport = transportFor(choice);
  return { transport, name: transport.name };
}

/** Whether workers can accept on sockets that stay with the parent. */
function hasShare(transport: Transport): boolean {
  return transport.name === 'native';
}

function checkPlaces(places: readonly EndpointOptions[]): void {
  for (const { tls, transport, permits } of places) {
    if (tls instanceof TlsServerContext)
      throw wrong('options.tls', 'is a context, which lives in one thread; give its options instead');
    if (transport !== undefined) throw wrong('options.listen', 'has a transport of its own; workers have one for all');
    if (permits !== undefined)
      throw wrong('options.listen', 'has permits of its own; over workers they are the parent’s');
  }
}

function checkKernel(options: ParallelOptions, places: readonly EndpointOptions[], transport: Transport): void {
  if (!transport.flags.reusePort) {
    throw unsupported(
      `dispatch: 'kernel' needs SO_REUSEPORT, which ${transport.name} has not here; leave dispatch out, or say round-robin, least-busy or hash`,
    );
  }
  if (options.maxConnections === 1) {
    throw unsupported(
      `maxConnections: 1 serves in the order of arrival, which nobody knows under dispatch: 'kernel'; say round-robin, least-busy or hash, or parallelism: 1`,
    );
  }
  if (options.whenFull === 'refuse') {
    throw unsupported(
      `whenFull: 'refuse' goes by all permits, of which a worker under dispatch: 'kernel' sees its own; say wait or retries, or round-robin, least-busy or hash`,
    );
  }
  if (options.rate !== undefined && options.rate !== null) {
    throw unsupported(
      `rate counts where connections are dispatched, and under dispatch: 'kernel' nobody does; say round-robin, least-busy or hash, or limit maxPerClient`,
    );
  }
  for (const place of places) {
    if (isTcp(place)) continue;
    throw unsupported(
      `dispatch: 'kernel' shares TCP ports only, not paths or descriptors; say round-robin, least-busy or hash`,
    );
  }
}

function checkHanded(options: ParallelOptions, places: readonly EndpointOptions[], transport: Transport): void {
  if (transport.passages === undefined) throw unsupported(noPassages(transport));
  const { flags } = transport;
  if (!flags.handOver) {
    for (const place of places) {
      if (!isPath(place)) continue;
      throw unsupported(
        `Node moves TCP sockets between threads, and no others; a path needs the native core (${nativeReason()})`,
      );
    }
  }
  const proxied = places.some(({ proxy }) => proxy !== undefined);
  const hashed = options.dispatch === 'hash' || typeof options.dispatch === 'object';
  if (proxied && hashed && !flags.handOver) {
    throw unsupported(
      `hash goes by the address of the socket, which behind a proxy is the proxy's for all, unless the native core moves connections once their PROXY header was read (it ${nativeReason()}); say round-robin or least-busy, and limit clients by maxPerClient, which knows them by their PROXY header`,
    );
  }
  if (hashed && places.some((place) => place.proxy !== undefined && isSecure(place))) {
    throw unsupported(
      `hash behind a proxy moves connections once they are open, and those under TLS can't be moved; have the proxy end TLS, or say round-robin or least-busy`,
    );
  }
  if (proxied && options.rate !== undefined && options.rate !== null) {
    throw unsupported(
      `rate behind a proxy would be counted by each worker for itself; limit maxPerClient, which holds over all of them, or the rate at the proxy`,
    );
  }
}

function noPassages(transport: Transport): string {
  if (transport.name === 'native') return 'the native core here moves no connections; build it anew, or say kernel';
  return `sockets can't be moved between threads by Node ${process.versions.node} (24.21 and 26.6 can), and the native core ${nativeReason()}; say dispatch: 'kernel', or use what can`;
}

function nativeReason(): string {
  const loaded = loadNative();
  return 'addon' in loaded ? 'was not asked for: say transport: native' : `does not load: ${loaded.reason}`;
}

function isTcp(place: EndpointOptions): boolean {
  const { kind } = listenEndpoint(place);
  return kind === 'tcp' || kind === 'tls';
}

/** Whether connections begin with the handshake of TLS. */
function isSecure(place: EndpointOptions): boolean {
  return place.tls !== undefined && !saysTcp(place.endpoint);
}

function isPath(place: EndpointOptions): boolean {
  const { endpoint, path } = place;
  if (path !== undefined) return true;
  return endpoint !== undefined && parseEndpoint(endpoint, 'server').kind === 'unix';
}

function unsupported(message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', message, { op: 'startParallel' });
}

function wrong(path: string, message: string): OptionsError {
  return new OptionsError('startParallel', [{ path, message }]);
}

/** The address of a module: a relative path is relative to the working directory. */
export function hrefOf(module: string | URL): string {
  if (module instanceof URL) return module.href;
  return /^(?:file|data|node|https?):/u.test(module) ? module : pathToFileURL(module).href;
}

/** What clients are told apart by where it is the workers who see that one belongs to another of them: under `hash` behind a proxy; else null. */
export function homesOf(dispatch: Dispatch, { places }: Plan): ClientPrefixes | null {
  return places.some(({ proxy }) => proxy !== undefined) ? hashPrefixes(dispatch) : null;
}

/** The host that was given first. */
export function hostOf({ places }: Plan): string | null {
  const [place] = places;
  if (place === undefined) return null;
  const endpoint = listenEndpoint(place);
  return endpoint.kind === 'tcp' || endpoint.kind === 'tls' ? (endpoint.host ?? null) : null;
}

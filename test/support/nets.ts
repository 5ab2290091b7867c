import { describe } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { ListenOptions } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import type { Transport } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';

/** A transport by name, for tests that hold on each. */
export interface Net {
  readonly name: string;
  readonly transport: Transport;
}

/** Every transport that this machine has, over TCP addresses. */
export function nets(): readonly Net[] {
  const all: Net[] = [
    { name: 'node', transport: nodeTransport },
    { name: 'memory', transport: memoryNetwork().transport },
  ];
  if ('addon' in loadNative()) all.push({ name: 'native', transport: nativeTransport() });
  else if (process.env['PORTSIDE_REQUIRE_NATIVE'] === '1') throw new Error('the native transport does not load');
  return all;
}

/** Describes a promise once per transport. */
export function onEachNet(promise: string, tests: (net: Net) => void): void {
  for (const net of nets()) describe(`${promise} (${net.name})`, () => tests(net));
}

/** A listener on a port of its own, on loopback. */
export function listenOn(net: Net, options: ListenOptions = {}): Promise<Listener> {
  return listen({ port: 0, host: '127.0.0.1', transport: net.transport, ...options });
}

export function portOf(listener: { readonly address: Listener['address'] }): number {
  if (!('port' in listener.address)) throw new Error('no port');
  return listener.address.port;
}

/** Two ends of one connection, and the listener it came through, which is closed already. */
export async function pairOn(
  net: Net,
  options: { server?: ListenOptions; client?: ConnectOptions } = {},
): Promise<{ server: Connection; client: Connection }> {
  const listener = await listenOn(net, options.server);
  const [server, client] = await Promise.all([
    listener.accept(),
    connect({ host: '127.0.0.1', port: portOf(listener) }, { transport: net.transport, ...options.client }),
  ]);
  await listener.close();
  return { server, client };
}

/** Ends both at once, and waits until they are over. */
export async function endAll(...connections: readonly Connection[]): Promise<void> {
  for (const connection of connections) connection.abort();
  await Promise.all(connections.map((connection) => connection.closed));
}

/** Everything that comes, until the end. */
export async function readAll(connection: Connection): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of connection) chunks.push(chunk);
  return Buffer.concat(chunks);
}

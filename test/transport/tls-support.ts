import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';
import type { Acceptor, BindTarget, Channel, Transport } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import type { TlsClientOptions } from '../../src/transport/tls/client.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import type { TlsServerOptions } from '../../src/transport/tls/context.ts';
import { secureClient, secureServer } from '../../src/transport/tls/handshake.ts';
import type { SecureChannel, TlsHandshake } from '../../src/transport/tls/handshake.ts';
import { certificates } from '../support/certificates.ts';
import { Ear, bindOptions } from './memory-support.ts';

const PATIENCE = 20_000;
const loopback: BindTarget = { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false };

export const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

/** Describes promises once per transport. */
export function onEach(promise: string, tests: (transport: Transport) => void): void {
  describe(`${promise} (node)`, () => tests(nodeTransport));
  describe(`${promise} (memory)`, () => tests(memoryNetwork({ seed: 1 }).transport));
  if ('addon' in loadNative()) describe(`${promise} (native)`, () => tests(nativeTransport()));
  else if (process.env['PORTSIDE_REQUIRE_NATIVE'] === '1') throw new Error('the native transport does not load');
}

/** Waits by turns of the loop until it holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `waited in vain for ${what}`);
    await new Promise(setImmediate);
  }
}

/** Some turns of the loop, for what must not happen. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

/** Listens on a port of loopback, and calls for each connection. */
export async function accepting(
  transport: Transport,
  each: (channel: Channel) => void,
): Promise<Acceptor & { port: number }> {
  const acceptor = await transport.listen(loopback, { ...bindOptions, backlog: 511 });
  acceptor.watcher = {
    ready() {
      for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) each(channel);
    },
    trouble(error) {
      throw error;
    },
  };
  acceptor.want(true);
  assert.ok('port' in acceptor.address);
  return Object.assign(acceptor, { port: acceptor.address.port });
}

export function dial(transport: Transport, port: number): Promise<Channel> {
  return transport.dial({ kind: 'tcp', host: '127.0.0.1', port, localHost: undefined, localPort: undefined }).result;
}

/** Two ends of a connection without TLS. */
export async function plainPair(transport: Transport): Promise<{ client: Channel; server: Channel }> {
  let server: Channel | null = null;
  const acceptor = await accepting(transport, (channel) => {
    server = channel;
  });
  const client = await dial(transport, acceptor.port);
  await until(() => server !== null, 'the connection');
  acceptor.close();
  return { client, server: server as unknown as Channel };
}

/** What came of a handshake. */
export type Outcome = SecureChannel | PortsideError;

export async function outcomeOf({ result }: TlsHandshake): Promise<Outcome> {
  try {
    return await result;
  } catch (error) {
    assert.ok(isPortsideError(error), `not a PortsideError: ${String(error)}`);
    return error;
  }
}

export function failed(outcome: Outcome): PortsideError {
  assert.ok(isPortsideError(outcome), 'the handshake succeeded');
  return outcome;
}

export function secured(outcome: Outcome): SecureChannel {
  if (isPortsideError(outcome)) throw outcome;
  return outcome;
}

/** A context for {@link certificates}' `server`. */
export function serverContext(options: Partial<TlsServerOptions> = {}): Promise<TlsServerContext> {
  return TlsServerContext.create({ ...certificates().server, ...options });
}

/** Both handshakes of one connection, whatever comes of them. */
export async function shake(
  transport: Transport,
  context: TlsServerContext,
  options: TlsClientOptions = {},
  host: string | undefined = 'localhost',
): Promise<{ server: Outcome; client: Outcome }> {
  const { client, server } = await plainPair(transport);
  const [ofServer, ofClient] = await Promise.all([
    outcomeOf(secureServer(server, context, [])),
    outcomeOf(secureClient(client, { ca: certificates().ca, ...options }, host, [])),
  ]);
  return { server: ofServer, client: ofClient };
}

/** Both ends under TLS, with flow on. */
export async function securePair(
  transport: Transport,
  context?: TlsServerContext,
  options?: TlsClientOptions,
): Promise<{ server: Ear & { channel: SecureChannel }; client: Ear & { channel: SecureChannel } }> {
  const outcome = await shake(transport, context ?? (await serverContext()), options);
  const ear = (one: Outcome): Ear & { channel: SecureChannel } =>
    new Ear(secured(one)) as Ear & { channel: SecureChannel };
  return { server: ear(outcome.server), client: ear(outcome.client) };
}

/** Ends what is still open, and waits until it is over. */
export async function endAll(...ends: readonly (Outcome | Ear)[]): Promise<void> {
  const ears = ends
    .filter((end) => !isPortsideError(end))
    .map((end) => (end instanceof Ear ? end : new Ear(end as Channel, false)));
  for (const { channel } of ears) channel.destroy('reset');
  await until(() => ears.every(({ closed, channel }) => closed !== null || channel.closed), 'the end of all');
  await turns(5);
}

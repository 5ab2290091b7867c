import { describe } from 'node:test';
import type { TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { compileProxy, readProxyHeader } from '../../src/net/proxy-in.ts';
import type { ProxyOptions, ProxyRead } from '../../src/net/proxy-in.ts';
import { systemClock } from '../../src/sync/clock.ts';
import type { Clock } from '../../src/sync/clock.ts';
import type { Address } from '../../src/transport/address.ts';
import { deafSink } from '../../src/transport/contract.ts';
import type { BindTarget, Channel, ChannelEnd, DialTarget, Sink, Transport } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';

/** Describes a promise once per transport that this machine has; those of real sockets alone, if need be. */
export function onEachTransport(promise: string, tests: (transport: Transport) => void, which?: 'sockets'): void {
  const all = which === 'sockets' ? [nodeTransport] : [nodeTransport, memoryNetwork().transport];
  if ('addon' in loadNative()) all.push(nativeTransport());
  for (const transport of all) describe(`${promise} (${transport.name})`, () => tests(transport));
}

/** A sink that keeps what it hears. */
export class Ear implements Sink {
  readonly channel: Channel;
  readonly chunks: Buffer[] = [];
  ended = false;
  closed: ChannelEnd | null = null;

  constructor(channel: Channel, flow: boolean) {
    this.channel = channel;
    channel.sink = this;
    channel.flow(flow);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  data(bytes: Uint8Array): void {
    this.chunks.push(Buffer.from(bytes));
  }

  end(): void {
    this.ended = true;
  }

  writable(): void {}

  close(end: ChannelEnd): void {
    this.closed = end;
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Waits until it holds; the test's own time limit is the end of patience. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const start = performance.now();
  while (!holds()) {
    assert.ok(performance.now() - start < 10_000, `waited in vain for ${what}`);
    await turn();
  }
}

const loopback: BindTarget = { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false };

export function dialTarget(address: Address): DialTarget {
  if (address.family === 'unix') return { kind: 'unix', path: address.path };
  if (address.family === 'memory') return { kind: 'memory', name: address.name };
  return { kind: 'tcp', host: address.host, port: address.port, localHost: undefined, localPort: undefined };
}

/** Gives every channel that comes to a place of its own, until the test is over; then resets them all. */
export async function onChannels(
  t: TestContext,
  transport: Transport,
  take: (channel: Channel) => void,
  target: BindTarget = loopback,
): Promise<Address> {
  const acceptor = await transport.listen(target, { backlog: 16, reusePort: false, reuseAddress: undefined });
  const channels: Channel[] = [];
  acceptor.watcher = {
    ready() {
      for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
        channels.push(channel);
        take(channel);
      }
    },
    trouble(error) {
      throw error;
    },
  };
  acceptor.want(true);
  t.after(() => {
    acceptor.close();
    for (const channel of channels) channel.destroy('reset');
  });
  return acceptor.address;
}

/** Two ends of one connection, unread, which are reset after the test. */
export async function ends(
  t: TestContext,
  transport: Transport,
  target?: BindTarget,
): Promise<{ server: Channel; client: Channel }> {
  let server: Channel | null = null;
  const address = await onChannels(t, transport, (channel) => (server = channel), target);
  const client = await transport.dial(dialTarget(address)).result;
  t.after(() => client.destroy('reset'));
  await until(() => server !== null, 'the connection');
  return { server: server as unknown as Channel, client };
}

export function latin1(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Begins to read a header. */
export function reading(channel: Channel, options: Partial<ProxyOptions> = {}, clock: Clock = systemClock): ProxyRead {
  return readProxyHeader(channel, compileProxy({ from: ['loopback', 'unix', 'memory'], ...options }), clock);
}

/** Fails unless the channel was left to whoever takes it over. */
export function assertLeft(channel: Channel): void {
  assert.equal(channel.sink, deafSink);
}

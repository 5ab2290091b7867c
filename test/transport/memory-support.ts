import assert from 'node:assert/strict';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { Acceptor, BindOptions, Channel, ChannelEnd, Sink } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork, MemoryNetworkOptions } from '../../src/transport/memory/memory-network.ts';

export const bindOptions: BindOptions = { backlog: 16, reusePort: false, reuseAddress: undefined };

/** Writes down what a channel hears, and stops the test at what must not be heard. */
export class Ear implements Sink {
  readonly channel: Channel;
  readonly heard: string[] = [];
  readonly chunks: Uint8Array[] = [];
  end_ = false;
  closed: ChannelEnd | null = null;

  constructor(channel: Channel, flow = true) {
    this.channel = channel;
    channel.sink = this;
    if (flow) channel.flow(true);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** The code of the error that it closed with. */
  get code(): string | undefined {
    return this.closed !== null && 'error' in this.closed ? this.closed.error.code : undefined;
  }

  data(bytes: Uint8Array): void {
    assert.ok(bytes.length > 0, 'data is never empty');
    assert.ok(!this.end_ && this.closed === null, 'data comes before the end and the close');
    this.chunks.push(bytes);
    this.heard.push(`data ${bytes.length}`);
  }

  end(): void {
    assert.ok(!this.end_ && this.closed === null, 'the end comes once, before the close');
    this.end_ = true;
    this.heard.push('end');
  }

  writable(): void {
    assert.equal(this.closed, null, 'nothing comes after the close');
    assert.equal(this.channel.queued, 0);
    this.heard.push('writable');
  }

  close(end: ChannelEnd): void {
    assert.equal(this.closed, null, 'the close comes once');
    assert.ok(this.channel.closed);
    this.closed = end;
    this.heard.push(`close ${end.kind}`);
  }
}

/** A network under a clock that the test holds. */
export function still(options: MemoryNetworkOptions = {}): { clock: VirtualClock; network: MemoryNetwork } {
  const clock = new VirtualClock();
  return { clock, network: memoryNetwork({ seed: 1, ...options, clock }) };
}

/** Two channels that are connected, each with an ear. */
export function pairOf(network: MemoryNetwork, flow = true): [Ear, Ear] {
  const [a, b] = network.pair();
  return [new Ear(a, flow), new Ear(b, flow)];
}

/** A listener by name. */
export function listenAt(network: MemoryNetwork, name = 'chat', backlog = 16): Promise<Acceptor> {
  return network.transport.listen({ kind: 'memory', name }, { ...bindOptions, backlog });
}

/** How a promise stands, written down as it settles. */
export function watched<T>(promise: Promise<T>): { value: T | undefined; code: string | undefined } {
  const state: { value: T | undefined; code: string | undefined } = { value: undefined, code: undefined };
  promise.then(
    (value) => {
      state.value = value;
    },
    (error: unknown) => {
      state.code = (error as { code?: string }).code ?? String(error);
    },
  );
  return state;
}

/** Bytes 0, 1, 2, … 255, 0, … */
export function pattern(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (from + i) & 255;
  return bytes;
}

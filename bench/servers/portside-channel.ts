/** Echo on the transport contract alone: what a backend costs, without anything that stands on it. */
import type { Channel, ChannelEnd, Sink, Transport } from '../../src/transport/contract.ts';
import { announce, port, portOf, transportName } from './control.ts';

/** Output above which reading pauses, bytes. */
const HIGH_WATER = 64 * 1024;

class Echo implements Sink {
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  data(bytes: Uint8Array): void {
    if (this.#channel.send(bytes) <= HIGH_WATER) return;
    this.#channel.flow(false);
    this.#channel.wantWritable();
  }

  writable(): void {
    this.#channel.flow(true);
  }

  end(): void {
    this.#channel.shutdown();
  }

  close(_end: ChannelEnd): void {}
}

async function load(): Promise<Transport> {
  if (transportName() === 'native') return (await import('../../src/transport/native/transport.ts')).nativeTransport();
  return (await import('../../src/transport/node/transport.ts')).nodeTransport;
}

const transport = await load();
const acceptor = await transport.listen(
  { kind: 'tcp', host: '127.0.0.1', port, ipv6Only: false },
  { backlog: 511, reusePort: false, reuseAddress: undefined },
);
acceptor.watcher = {
  ready() {
    for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
      channel.sink = new Echo(channel);
      channel.set({ kind: 'noDelay', on: true });
      channel.flow(true);
    }
  },
  trouble(error) {
    process.stderr.write(`${error.message}\n`);
  },
};
acceptor.want(true);

announce(portOf(acceptor.address));

/** Echo on the transport contract alone. */
import type { Acceptor, Channel, ChannelEnd, Sink } from '../../src/transport/contract.ts';

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

/** Echoes on whatever an acceptor has. */
export function echoAll(acceptor: Acceptor): void {
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
}

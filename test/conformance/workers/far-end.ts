import { parentPort, workerData } from 'node:worker_threads';
import type { Address } from '../../../src/transport/address.ts';
import type { Acceptor, Channel } from '../../../src/transport/contract.ts';
import type { PassageTicket } from '../../../src/transport/passage.ts';
import { dice } from '../dice.ts';
import { Recorder, markedAcceptor, watched } from '../recorder.ts';
import { transportCalled } from '../transports.ts';
import type { TransportName } from '../transports.ts';

/** What a far end is started with. */
export interface FarEndData {
  readonly transport: TransportName;
  readonly ticket: PassageTicket;
  readonly address: Address;
  readonly kernelQueue: boolean;
}

/** A channel that was taken, as it can be told. */
export interface Taken {
  /** By which it is known from now on. */
  readonly index: number;
  readonly local: Address;
  readonly remote: Address;
}

const { transport: name, ticket, address, kernelQueue } = workerData as FarEndData;
const transport = await transportCalled(name);
const { passages } = transport;
if (passages === undefined) throw new Error(`${name} has no passages in a thread`);
const acceptor: Acceptor = markedAcceptor(passages.arrivals(ticket, address, kernelQueue));
const taken: Recorder[] = [];
let calls = 0;

function record(channel: Channel): Taken {
  const recorder = new Recorder(channel, transport.flags.borrows);
  taken.push(recorder);
  return { index: taken.length - 1, local: channel.local, remote: channel.remote };
}

function at(index: number): Recorder {
  const recorder = taken[index];
  if (recorder === undefined) throw new Error(`nothing was taken as number ${index}`);
  return recorder;
}

/** Wants connections until `ready` says that it has enough. */
function watch(ready: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    acceptor.watcher = {
      ready: watched(() => {
        calls += 1;
        if (!ready()) return;
        acceptor.want(false);
        resolve();
      }),
      trouble(error) {
        throw error;
      },
    };
    acceptor.want(true);
  });
}

/** What the thread that made this one can ask for. */
export const acts = {
  about(): { address: Address; kernelQueue: boolean } {
    return { address: acceptor.address, kernelQueue: acceptor.kernelQueue };
  },
  pending: (): boolean => acceptor.pending(),
  /** One if there is one now. */
  take(): Taken | null {
    const channel = acceptor.take();
    return channel === null ? null : record(channel);
  },
  /** Waits for as many, by `ready`. */
  async takeAll(count: number): Promise<Taken[]> {
    const got: Taken[] = [];
    await watch(() => {
      for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
        got.push(record(channel));
        if (got.length === count) return true;
      }
      return false;
    });
    return got;
  },
  /** Waits until `ready` came this often while nothing was taken. */
  async readies(count: number): Promise<void> {
    let left = count;
    await watch(() => --left === 0);
  },
  /** How often `ready` came so far. */
  calls: (): number => calls,
  want: (on: boolean): void => acceptor.want(on),
  flow: (index: number, on: boolean): void => at(index).channel.flow(on),
  send: (index: number, text: string): number => at(index).channel.send(Buffer.from(text, 'latin1')),
  shutdown: (index: number): void => at(index).channel.shutdown(),
  destroy: (index: number, how: 'flush' | 'drop' | 'reset'): void => at(index).channel.destroy(how),
  keepAlive: (index: number, on: boolean): void => at(index).channel.set({ kind: 'keepAlive', on, delay: 60_000 }),
  log: (index: number): readonly string[] => at(index).log,
  bytes: (index: number): Uint8Array => at(index).bytes,
  close: (): void => acceptor.close(),
  /**
   * Takes what comes, some at a time as a seed says, for as long as the thread lives, and writes the port of each peer down:
   * their number, and then the ports.
   */
  harvest(seed: number, book: Int32Array): void {
    const draw = dice(seed);
    let count = 0;
    acceptor.watcher = {
      ready() {
        for (let left = draw(4); left > 0; left--) {
          const channel = acceptor.take();
          if (channel === null) return;
          book[count + 1] = 'port' in channel.remote ? channel.remote.port : -1;
          count += 1;
          Atomics.store(book, 0, count);
          taken.push(new Recorder(channel, transport.flags.borrows));
        }
      },
      trouble(error) {
        throw error;
      },
    };
    acceptor.want(true);
  },
  /** Takes all that comes and ends it in order. */
  sink(): void {
    acceptor.watcher = {
      ready() {
        for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) channel.destroy('flush');
      },
      trouble(error) {
        throw error;
      },
    };
    acceptor.want(true);
  },
};

export type Acts = typeof acts;

parentPort!.on('message', ({ call, act, args }: { call: number; act: keyof Acts; args: unknown[] }) => {
  const run = async (): Promise<unknown> => Reflect.apply(acts[act], null, args) as unknown;
  void run().then(
    (value) => parentPort!.postMessage({ call, value }, []),
    (error: unknown) => parentPort!.postMessage({ call, error }, []),
  );
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import type { Acceptor, Channel } from '../../src/transport/contract.ts';
import type { Passage } from '../../src/transport/passage.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { dial } from './native-support.ts';
import { converse, echoing } from './passage-support.ts';

/** What became of a worker's connections, by the ports of their clients. */
export interface Account {
  readonly taken: readonly number[];
  readonly untaken: readonly number[];
}

interface Held {
  readonly channel: Channel;
  readonly port: number;
}

interface Station {
  readonly passage: Passage;
  readonly worker: Worker;
  readonly given: number[];
}

/** Accepts, and gives to workers in turn; holds what none has room for, and accepts nothing meanwhile. */
export class Front {
  readonly #acceptor: Acceptor;
  readonly #stations: Station[] = [];
  readonly #waiting: Held[] = [];
  #turn = 0;

  constructor(acceptor: Acceptor) {
    this.#acceptor = acceptor;
    acceptor.watcher = {
      ready: () => this.#deal(),
      trouble(error) {
        throw error;
      },
    };
    acceptor.want(true);
  }

  async start(capacity: number, burst: number): Promise<Station> {
    const { passage, worker } = await echoing(capacity, burst);
    const station = { passage, worker, given: [] };
    passage.onRoom = () => this.#deal();
    this.#stations.push(station);
    this.#deal();
    return station;
  }

  /** Ends a worker; who never got there goes to the others. */
  async stop(station: Station, how: 'terminate' | 'exit' | 'spin'): Promise<Account> {
    const { passage, worker, given } = station;
    const gone = once(worker, 'exit');
    if (how !== 'terminate') worker.postMessage(how, []);
    if (how === 'spin') await new Promise((resolve) => setTimeout(resolve, 3));
    if (how !== 'exit') void worker.terminate();
    await gone;
    this.#stations.splice(this.#stations.indexOf(station), 1);
    const back = passage.end();
    const untaken = back.map(({ id, channel }) => {
      assert.ok(channel !== null);
      assert.ok(channel.remote.family === 'ipv4');
      assert.equal(channel.remote.port, id, 'the channel is not the one that was given under that id');
      return { channel, port: id };
    });
    const ports = untaken.map(({ port }) => port);
    const taken = given.slice(0, passage.taken);
    assert.deepEqual([...taken, ...ports], given, 'each is taken or told, in order');
    this.#waiting.unshift(...untaken);
    this.#deal();
    return { taken, untaken: ports };
  }

  #deal(): void {
    for (;;) {
      const held = this.#waiting[0];
      if (held === undefined) {
        const channel = this.#acceptor.take();
        if (channel === null) return this.#acceptor.want(true);
        assert.ok(channel.remote.family === 'ipv4');
        this.#waiting.push({ channel, port: channel.remote.port });
      } else if (this.#give(held)) {
        this.#waiting.shift();
      } else {
        return this.#acceptor.want(false);
      }
    }
  }

  #give({ channel, port }: Held): boolean {
    for (let tries = this.#stations.length; tries > 0; tries--) {
      const station = this.#stations[this.#turn++ % this.#stations.length]!;
      if (!station.passage.give(channel, port)) continue;
      station.given.push(port);
      return true;
    }
    return false;
  }
}

/** What a client got: its words back, or how it ended. */
export interface Answer {
  readonly port: number;
  readonly echoed: boolean;
  readonly why: string;
}

/** So many clients, so many at a time, each of which says something of its own and hears it again. */
export async function crowd(acceptor: Acceptor, count: number, atOnce: number): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) {
      const words = `client ${next++} `.repeat(3);
      const client = await dial(nativeTransport(), acceptor.address);
      assert.ok(client.local.family === 'ipv4');
      const { port } = client.local;
      const { text, why } = await converse(client, words);
      answers.push({ port, echoed: text === words, why });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return answers;
}

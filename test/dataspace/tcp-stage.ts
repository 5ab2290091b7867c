import assert from 'node:assert/strict';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { tcpChannel, tcpEnd } from '../../src/dataspace/drivers/tcp-channel.ts';
import type { TcpLocal } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpDriver } from '../../src/dataspace/drivers/tcp-driver.ts';
import type { TcpDriverOptions } from '../../src/dataspace/drivers/tcp-driver.ts';
import type { TcpListener, TcpPeer } from '../../src/dataspace/drivers/tcp-places.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { ActorEnd } from '../../src/dataspace/kernel-settings.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import type { Boot, OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { DataspaceOptions, OutsideToken, SpaceSummary } from '../../src/dataspace/space.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import type { Clock } from '../../src/sync/clock.ts';
import { seededRandom } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { MemoryNetwork, MemoryNetworkOptions } from '../../src/transport/memory/memory-network.ts';

/** Calls `fn` so many tasks of a clock from now. */
export function after(clock: Clock, tasks: number, fn: () => void): void {
  if (tasks === 0) fn();
  else clock.soon(() => after(clock, tasks - 1, fn));
}

/** An actor that does what it is told. */
export class Hand {
  readonly self: Self;
  readonly #source: OutsideSource;
  readonly #settle: () => Promise<void>;

  constructor(self: Self, settle: () => Promise<void>) {
    this.self = self;
    this.#source = self.outside();
    this.#settle = settle;
  }

  /** Does something in one turn. */
  async do<T>(fn: (self: Self) => T): Promise<T> {
    const given: T[] = [];
    this.tell((self) => given.push(fn(self)));
    await this.#settle();
    assert.equal(given.length, 1, 'the actor has ended');
    return given[0] as T;
  }

  /** Has something done in one turn, later. */
  tell(fn: (self: Self) => unknown): void {
    this.#source.enter(() => void fn(this.self));
  }

  /** It waits for nothing any more. */
  release(): void {
    this.#source.release();
  }
}

/** What an actor sees of a topic, line by line: `+`, `-` with the reason, and what is said. */
export class Eyes {
  readonly seen: string[] = [];
  readonly reasons: EndReason[] = [];

  note(sign: string, topic: unknown): void {
    this.seen.push(`${sign} ${formatTopic(topic as Topic)}`);
  }

  /** Since the last look. */
  news(): string[] {
    return this.seen.splice(0);
  }
}

/** One actor on one connection. */
export class Talker {
  readonly hand: Hand;
  readonly local: TcpLocal;
  readonly remote: TcpPeer;
  /** What came, as text, with `<end>` for the end. */
  heard = '';
  /** The sizes of the messages. */
  readonly sizes: number[] = [];
  /** Whom it sees: `in` the connection's publisher, `out` its subscriber, and how they went. */
  readonly events: string[] = [];
  readonly reasons: EndReason[] = [];
  /** What was fed back. */
  readonly acks: number[] = [];

  constructor(hand: Hand, local: TcpLocal, remote: TcpPeer) {
    this.hand = hand;
    this.local = local;
    this.remote = remote;
  }

  /** Takes part in both directions, or in one. */
  join(self: Self, which: 'both' | 'in' | 'out' = 'both', taking?: () => unknown): void {
    const local = this.local as TcpListener;
    if (which !== 'out')
      self.subscribe(
        tcpChannel(this.remote, local, _),
        {
          onPresence: () => this.events.push('in +'),
          onAbsence: ({ reason }) => {
            this.events.push('in -');
            this.reasons.push(reason);
          },
          onMessage: ({ topic: { body } }) => {
            if (tcpEnd.is(body)) this.heard += '<end>';
            else {
              this.heard += Buffer.from(body).toString();
              this.sizes.push(body.length);
            }
            return taking?.();
          },
        },
        { name: 'in' },
      );
    if (which !== 'in')
      self.publish(
        tcpChannel(local, this.remote, _),
        {
          onPresence: () => this.events.push('out +'),
          onAbsence: ({ reason }) => {
            this.events.push('out -');
            this.reasons.push(reason);
          },
          onMessage: ({ topic: { body } }) => this.acks.push((body as { amount?: number }).amount ?? Number.NaN),
        },
        { name: 'out' },
      );
  }

  send(body: unknown): Promise<void> {
    return this.hand.do((self) => self.send(tcpChannel(this.local as TcpListener, this.remote, body as string)));
  }

  feedback(body: unknown): Promise<void> {
    return this.hand.do((self) =>
      self.feedback(tcpChannel(this.remote, this.local as TcpListener, body as Uint8Array)),
    );
  }

  leave(): Promise<void> {
    return this.hand.do((self) => self.quit());
  }
}

/** A space with the driver in it, on a network and in a time of their own. */
export class TcpStage {
  readonly clock: VirtualClock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly scope: Scope;
  readonly space: Dataspace;
  readonly ends: ActorEnd[] = [];
  done!: Promise<SpaceSummary>;
  driver = 0;
  readonly #clients: Connection[] = [];
  #kept: OutsideToken | undefined;

  constructor(network: MemoryNetworkOptions = {}, space: DataspaceOptions = {}) {
    this.network = memoryNetwork({ seed: 1, ...network, clock: this.clock });
    this.scope = new Scope({ parent: null, clock: this.clock, random: seededRandom(1) });
    this.space = this.scope.run(() => new Dataspace({ ...space, onActorEnd: (end) => this.ends.push(end) }));
  }

  async open(options: TcpDriverOptions = {}): Promise<this> {
    const { transport } = this.network;
    this.driver = this.space.spawn(this.scope.run(() => tcpDriver({ transport, ...options })));
    this.#kept = this.space.outside();
    this.done = this.scope.run(() => this.space.run());
    await this.settle();
    return this;
  }

  /** From now on the space waits only for what is in it. */
  letGo(): void {
    this.#kept?.release();
  }

  readonly settle = (): Promise<void> => this.clock.settle();

  /** An actor that is told what to do. */
  async hand(boot: Boot = () => {}): Promise<Hand> {
    const hands: Hand[] = [];
    this.space.spawn((self) => {
      hands.push(new Hand(self, this.settle));
      return boot(self);
    });
    await this.settle();
    return hands[0] as Hand;
  }

  /** An actor that sees everything about a topic. */
  async watch(topic: Topic): Promise<Eyes> {
    const eyes = new Eyes();
    await this.hand((self) =>
      self.subscribe(topic, {
        onPresence: (event) => eyes.note('+', event.topic),
        onAbsence: (event) => {
          eyes.note('-', event.topic);
          eyes.reasons.push(event.reason);
        },
      }),
    );
    return eyes;
  }

  /** Opens a port, and has an actor take part in each connection to it; gives those that came. */
  async serve(
    here: TcpListener,
    join: ((talker: Talker, self: Self) => void) | null = (talker, self) => talker.join(self),
  ): Promise<{ readonly talkers: Talker[]; readonly hand: Hand }> {
    const talkers: Talker[] = [];
    const hand = await this.hand((self) => {
      self.observePublishers(tcpChannel(_, here, _), {
        onPresence: ({ topic }) => {
          self.spawn((one) => {
            const talker = new Talker(new Hand(one, this.settle), here, topic.source);
            talkers.push(talker);
            join?.(talker, one);
          });
        },
      });
    });
    return { talkers, hand };
  }

  /** A client from outside. */
  dial(port: number, options: ConnectOptions = {}): Promise<Connection> {
    const { transport } = this.network;
    return this.now(async () => {
      const client = await connect({ host: '127.0.0.1', port }, { transport, localHost: '127.0.0.1', ...options });
      this.#clients.push(client);
      return client;
    });
  }

  /** A server outside. */
  listen(port: number): Promise<Listener> {
    const { transport } = this.network;
    return this.now(() => listen({ host: '127.0.0.1', port }, { transport }));
  }

  /** Waits for what must not need time. */
  now<T>(work: () => Promise<T>): Promise<T> {
    return this.clock.run(this.scope.run(work), { limit: 0 });
  }

  /** What a connection outside has to read now, as text; `<end>` at the end. */
  async read(connection: Connection): Promise<string> {
    let text = '';
    for (;;) {
      const calledOff = new AbortController();
      const bytes = await this.soon(connection.read({ signal: calledOff.signal }));
      calledOff.abort();
      if (bytes === undefined) return text;
      if (bytes === null) return `${text}<end>`;
      text += Buffer.from(bytes).toString();
    }
  }

  /** What a promise gives without time; undefined when nothing. */
  async soon<T>(promise: Promise<T>): Promise<T | undefined> {
    let value: T | undefined;
    void promise.then(
      (given) => {
        value = given;
      },
      () => {},
    );
    await this.settle();
    return value;
  }

  /** Ends the space; nothing may be left then. */
  async end(): Promise<SpaceSummary> {
    this.space.end();
    await this.settle();
    const summary = await this.done;
    assert.equal(this.network.listening, 0, 'a port is open');
    for (const client of this.#clients) client.abort();
    await this.clock.advance(100_000);
    assert.equal(this.network.open, 0, 'a connection is open');
    await this.clock.run(this.scope.close());
    assert.equal(this.clock.armed, 0, 'a timer is set');
    return summary;
  }
}

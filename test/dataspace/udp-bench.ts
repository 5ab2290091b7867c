import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import { udpDriver } from '../../src/dataspace/drivers/udp-driver.ts';
import type { UdpDriverOptions } from '../../src/dataspace/drivers/udp-driver.ts';
import { udpBound, udpFailed, udpPacket } from '../../src/dataspace/drivers/udp-topics.ts';
import type { UdpLocal } from '../../src/dataspace/drivers/udp-topics.ts';
import type { ActorId, EndpointHandle } from '../../src/dataspace/endpoint.ts';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { Boot, OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { SpaceSummary } from '../../src/dataspace/space.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';

/** Spaces that are ended when each test of the file is over, so that one that fails does not hang. */
export function udpBenches(): (options?: UdpDriverOptions) => UdpBench {
  let open: UdpBench[] = [];
  afterEach(async () => {
    for (const bench of open) bench.space.end();
    await Promise.all(open.map(({ done }) => done));
    open = [];
  });
  return (options) => {
    const bench = new UdpBench(options);
    open.push(bench);
    return bench;
  };
}

/** An actor that does as it is told. */
export class Hand {
  readonly self: Self;
  readonly #source: OutsideSource;

  constructor(self: Self) {
    this.self = self;
    this.#source = self.outside();
  }

  /** Does something in one turn of the actor. */
  do<T>(fn: (self: Self) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        try {
          resolve(fn(this.self));
        } catch (error) {
          reject(error);
        }
      };
      if (!this.#source.enter(turn)) reject(new Error('the actor has ended'));
    });
  }

  /** Does something so many of its turns later, in which others have theirs too, but the system is not asked for anything. */
  later<T>(turns: number, fn: (self: Self) => T): Promise<T> {
    return new Promise((resolve) => {
      const turn = (left: number): void => {
        if (left === 0) resolve(this.do(fn));
        else this.#source.enter(() => turn(left - 1));
      };
      turn(turns);
    });
  }

  /** The space does not wait for the actor any more. */
  letGo(): void {
    this.#source.release();
  }
}

/** A space with real sockets, and what is told of them. */
export class UdpBench {
  /** One turn for each, round and round; nothing comes from outside while anybody wants one. */
  readonly space: Dataspace = new Dataspace({
    burst: 1,
    slice: 1_000_000,
    sliceTime: Number.POSITIVE_INFINITY,
    onActorEnd: ({ name, reason }) => {
      if (name === undefined) return;
      const detail = 'detail' in reason && reason.detail !== undefined ? ` ${formatTopic(reason.detail)}` : '';
      this.ends.push(`${name} ${reason.kind}${detail}`);
      this.change();
    },
  });
  /** How the actors of the sockets ended. */
  readonly ends: string[] = [];
  /** Sockets that are open, by their local sides, and what could not be bound. */
  readonly ports: Map<string, number> = new Map();
  readonly failed: Map<string, string> = new Map();
  /** What was told of sockets, in order. */
  readonly log: string[] = [];
  /** How many sockets were opened. */
  opened = 0;
  /** What could not be sent. */
  readonly unsent: string[] = [];
  readonly driver: ActorId;
  readonly done: Promise<SpaceSummary>;
  #host!: Hand;
  readonly #changed: (() => void)[] = [];

  constructor(options?: UdpDriverOptions) {
    this.driver = this.space.spawn(udpDriver(options));
    this.space.spawn((self) => {
      this.#host = new Hand(self);
      this.#watch(self);
    });
    this.done = this.space.run();
  }

  /** Waits for a state of things. */
  async until(what: string, test: () => boolean): Promise<void> {
    const late = AbortSignal.timeout(10_000);
    while (!test()) {
      assert.ok(!late.aborted, `waited in vain: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Something happened that somebody may wait for. */
  change(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  /** An actor that does as it is told. */
  async hand(boot: Boot = () => {}): Promise<Hand> {
    return new Promise((resolve) => {
      this.space.spawn((self) => {
        resolve(new Hand(self));
        return boot(self);
      });
    });
  }

  /** Subscribes to what comes, and gives what has come. */
  async hear(
    local: UdpLocal,
  ): Promise<{ readonly heard: string[]; readonly hand: Hand; readonly handle: EndpointHandle }> {
    const heard: string[] = [];
    const hand = await this.hand();
    const handle = await hand.do((self) =>
      self.subscribe(udpPacket(_, local, _), {
        onMessage: ({ topic }) => {
          heard.push(Buffer.from(topic.body).toString());
          this.change();
        },
      }),
    );
    return { heard, hand, handle };
  }

  /** The port of a socket, once it is open. */
  async port(local: UdpLocal): Promise<number> {
    const key = formatTopic(local);
    await this.until(`${key} to be bound`, () => this.ports.has(key));
    return this.ports.get(key) ?? 0;
  }

  async gone(local: UdpLocal): Promise<void> {
    const key = formatTopic(local);
    await this.until(`${key} to be closed`, () => !this.ports.has(key));
  }

  /** A round of messages: what was sent before it has been heard. */
  async round(): Promise<void> {
    for (let i = 0; i < 5; i++) await this.#host.do(() => {});
  }

  /** Whether nothing is left that anybody waits for; to be asked when all users have gone. */
  async over(): Promise<SpaceSummary> {
    this.#host.letGo();
    return this.done;
  }

  #watch(self: Self): void {
    self.observePublishers(udpBound(_, _), {
      onPresence: ({ topic: { local, address } }) => {
        this.opened += 1;
        this.log.push('bound');
        this.ports.set(formatTopic(local), address.port);
        this.change();
      },
      onAbsence: ({ topic: { local, address } }) => {
        const key = formatTopic(local);
        this.log.push(`gone, ${this.ends.length} ended`);
        // The next socket may have been there before this one was gone.
        if (this.ports.get(key) === address.port) this.ports.delete(key);
        this.change();
      },
    });
    const say = (code: string, remote: Topic): string => `${code} ${remote === null ? 'bind' : formatTopic(remote)}`;
    self.observePublishers(udpFailed(_, _, _, _), {
      onPresence: ({ topic: { local, remote, code } }) => {
        this.failed.set(formatTopic(local), say(code, remote));
        this.change();
      },
      onAbsence: ({ topic: { local } }) => {
        this.failed.delete(formatTopic(local));
        this.change();
      },
      onMessage: ({ topic: { remote, code } }) => {
        this.unsent.push(say(code, remote));
        this.change();
      },
    });
  }
}

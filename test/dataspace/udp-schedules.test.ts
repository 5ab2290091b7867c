import assert from 'node:assert/strict';
import { udpDriver } from '../../src/dataspace/drivers/udp-driver.ts';
import {
  udpAddress,
  udpBound,
  udpFailed,
  udpHandle,
  udpListener,
  udpPacket,
} from '../../src/dataspace/drivers/udp-topics.ts';
import type { UdpLocal } from '../../src/dataspace/drivers/udp-topics.ts';
import type { EndpointHandle } from '../../src/dataspace/endpoint.ts';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { systemCode } from '../../src/base/errors.ts';
import { bindUdp } from '../../src/net/udp.ts';
import type { UdpSocket } from '../../src/net/udp.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { watchLeaks } from '../support/leaks.ts';
import { testSchedules } from '../support/schedules.ts';
import type { Played } from '../support/schedules.ts';
import { LOCAL } from '../support/udp.ts';

// Another process that plays the same at the same time begins elsewhere.
let freePorts = process.pid * 1_009;

const PATIENCE = 5_000;
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface User {
  readonly number: number;
  readonly self: Self;
  readonly source: OutsideSource;
  readonly wants: { readonly local: UdpLocal; readonly side: 'hears' | 'speaks'; readonly handle: EndpointHandle }[];
}

/** Users who want sockets and don't, faster than these can be had; what is left in the end has to be what is wanted. */
class Schedule implements Played {
  readonly trace: string[] = [];
  readonly outcomes: string[] = [];
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #users: User[] = [];
  readonly #bound = new Map<string, { readonly port: number; count: number }>();
  readonly #failed: string[] = [];
  #locals: readonly UdpLocal[] = [];
  /** Who heard the packets of the present round. */
  #heard: string[] = [];
  #round = 0;
  #client!: UdpSocket;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  async run(): Promise<void> {
    const checkLeaks = watchLeaks();
    this.#client = await bindUdp({ host: LOCAL });
    const port = await this.#freePort();
    this.#locals = [udpListener(port, { host: LOCAL }), udpListener(0, { host: LOCAL }), udpHandle(['h', 1])];
    const scope = new Scope({ clock: this.#clock, parent: null });
    const space = scope.run(() => new Dataspace({ burst: 1 + this.#random.int(4), slice: 1 + this.#random.int(200) }));
    space.spawn(scope.run(() => udpDriver()));
    space.spawn((self) => this.#watch(self));
    for (let i = 0; i < 3; i++) space.spawn((self) => void this.#users.push(this.#enlist(self, i)));
    const done = scope.run(() => space.run());
    try {
      await this.#play();
      assert.deepEqual(await this.#clock.run(done), { state: 'idle', failed: 0, failures: [] });
      assert.equal(this.#clock.armed, 0);
      assert.deepEqual(scope.report(), []);
    } finally {
      space.end();
      await this.#client.close();
      await scope.close();
    }
    await checkLeaks();
  }

  async #play(): Promise<void> {
    await this.#clock.settle();
    for (let step = 0; step < 20; step++) {
      await this.#step();
      if (this.#random.int(8) === 0) await this.#agree();
    }
    await this.#agree();
    for (const { self, source } of this.#users) source.enter(() => self.quit('enough'));
    await this.#until('all to be closed', () => this.#bound.size === 0);
    assert.deepEqual(this.#failed, []);
  }

  /** A port that nobody has, and that the system gives to nobody: who opens it anew before it is closed finds it taken. */
  async #freePort(): Promise<number> {
    for (;;) {
      const port = 10_000 + (freePorts++ % 20_000);
      try {
        const socket = await bindUdp({ port });
        await socket.close();
        return port;
      } catch (error) {
        if (systemCode(error) !== 'EADDRINUSE') throw error;
      }
    }
  }

  #watch(self: Self): void {
    self.observePublishers(udpBound(_, _), {
      onPresence: ({ topic: { local, address } }) => {
        const key = formatTopic(local);
        const count = (this.#bound.get(key)?.count ?? 0) + 1;
        this.#bound.set(key, { port: address.port, count });
      },
      onAbsence: ({ topic: { local } }) => {
        const bound = this.#bound.get(formatTopic(local));
        assert.ok(bound !== undefined);
        bound.count -= 1;
        if (bound.count === 0) this.#bound.delete(formatTopic(local));
      },
    });
    self.observePublishers(udpFailed(_, _, _, _), {
      onPresence: ({ topic }) => void this.#failed.push(formatTopic(topic)),
      onMessage: ({ topic }) => {
        // Who sends from where it does not take part is told so.
        if (topic.code !== 'ERR_PORTSIDE_STATE') this.#failed.push(formatTopic(topic));
      },
    });
  }

  #enlist(self: Self, number: number): User {
    return { number, self, source: self.outside(), wants: [] };
  }

  async #step(): Promise<void> {
    const dice = this.#random.int(100);
    if (dice < 70) {
      const user = this.#users[this.#random.int(this.#users.length)] as User;
      const moves = 1 + this.#random.int(4);
      user.source.enter(() => {
        for (let i = 0; i < moves; i++) this.#act(user);
      });
    }
    // Sometimes the sockets get on while the space stands still, sometimes the other way round.
    if (dice % 4 === 0) await pause();
    if (dice % 4 === 1) for (let i = 0; i < 4; i++) await pause();
    if (dice % 2 === 0) await this.#clock.settle();
  }

  #act(user: User): void {
    const { self, wants } = user;
    const dice = this.#random.int(100);
    const local = this.#locals[this.#random.int(this.#locals.length)] as UdpLocal;
    const last = wants[this.#random.int(Math.max(1, wants.length))];
    if (dice < 15) this.#waver(user, local);
    else if (dice < 45 || last === undefined) this.#want(user, local);
    else if (dice < 80) {
      this.trace.push(`${user.number} leaves ${this.#locals.indexOf(last.local)}`);
      last.handle.withdraw();
      wants.splice(wants.indexOf(last), 1);
      if (dice < 55) {
        this.#want(user, last.local);
        this.outcomes.push('back within a turn');
      } else if (this.#wanted(last.local) === 0) this.outcomes.push('the last one left');
    } else {
      this.trace.push(`${user.number} speaks from ${this.#locals.indexOf(local)}`);
      self.send(udpPacket(local, udpAddress(LOCAL, this.#client.local.port), 'noise'));
    }
  }

  /** Wants a socket and, so many turns later, doesn't; while others have theirs, and the system may have none. */
  #waver(user: User, local: UdpLocal): void {
    const { self, source, number } = user;
    const turns = 1 + this.#random.int(12);
    const speaks = this.#random.int(2) === 0;
    this.trace.push(`${number} wavers ${turns} turns at ${this.#locals.indexOf(local)}`);
    this.outcomes.push('wavered');
    const topic = speaks ? udpPacket(local, _, _) : udpPacket(_, local, _);
    const handle = speaks ? self.publish(topic) : self.subscribe(topic);
    const turn = (left: number): void => {
      if (speaks && left === turns >> 1) self.send(udpPacket(local, udpAddress(LOCAL, this.#client.local.port), 'hm'));
      if (left === 0) handle.withdraw();
      else source.enter(() => turn(left - 1));
    };
    turn(turns);
  }

  #want(user: User, local: UdpLocal): void {
    const { self, wants, number } = user;
    if (this.#wanted(local) === 0) this.outcomes.push('the first one came');
    const side = this.#random.int(2) === 0 ? 'hears' : 'speaks';
    this.trace.push(`${number} ${side} at ${this.#locals.indexOf(local)}`);
    const handle =
      side === 'speaks'
        ? self.publish(udpPacket(local, udpAddress(_, _), _))
        : self.subscribe(udpPacket(_, local, _), {
            onMessage: ({ topic }) => {
              if (Number(Buffer.from(topic.body).toString()) !== this.#round) return;
              this.#heard.push(formatTopic(local));
            },
          });
    wants.push({ local, side, handle });
  }

  #wanted(local: UdpLocal): number {
    return this.#users.flatMap(({ wants }) => wants).filter((one) => one.local === local).length;
  }

  /** Waits until all is as it is wanted; then each socket works. */
  async #agree(): Promise<void> {
    await this.#clock.settle();
    const wanted = (): string[] =>
      this.#locals.filter((local) => this.#wanted(local) > 0).map((one) => formatTopic(one));
    await this.#until('sockets', () => {
      const open = [...this.#bound].filter(([, { count }]) => count === 1).map(([key]) => key);
      return this.#bound.size === open.length && same(open, wanted());
    });
    assert.deepEqual(this.#failed, []);
    // What comes late to one who has only just come is of an earlier round.
    this.#round += 1;
    this.#heard = [];
    const expected: string[] = [];
    for (const local of this.#locals) {
      const key = formatTopic(local);
      const bound = this.#bound.get(key);
      if (bound === undefined) continue;
      await this.#client.send(`${this.#round}`, { host: LOCAL, port: bound.port });
      for (const { wants } of this.#users)
        for (const one of wants) if (one.local === local && one.side === 'hears') expected.push(key);
    }
    await this.#until('probes', () => this.#heard.length >= expected.length);
    assert.ok(same(this.#heard, expected), `heard ${this.#heard.join()} in place of ${expected.join()}`);
    this.trace.push(`agreed on ${wanted().length}`);
    this.outcomes.push(`${wanted().length} sockets`);
  }

  async #until(what: string, test: () => boolean): Promise<void> {
    const late = performance.now() + PATIENCE;
    for (;;) {
      await this.#clock.settle();
      if (test()) return;
      assert.ok(performance.now() < late, `waited in vain for ${what}; failures: ${this.#failed.join()}`);
      await pause();
    }
  }
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join();
}

testSchedules((seed) => new Schedule(seed), {
  first: 1,
  count: 1_000,
  again: [1, 2],
  outcomes: [
    'wavered',
    'back within a turn',
    'the last one left',
    'the first one came',
    '0 sockets',
    '1 sockets',
    '3 sockets',
  ],
  enough: 200,
});

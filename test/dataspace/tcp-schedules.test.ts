import assert from 'node:assert/strict';
import { tcpChannel } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpDriver } from '../../src/dataspace/drivers/tcp-driver.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import type { EndpointId } from '../../src/dataspace/endpoint.ts';
import { _, isHole } from '../../src/dataspace/hole.ts';
import type { ActorEnd } from '../../src/dataspace/kernel-settings.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import type { Listener } from '../../src/net/listener.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import type { Faults, MemoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { testSchedules } from '../support/schedules.ts';
import type { Played } from '../support/schedules.ts';
import { Flow, Outsider, Player, Speaker } from './tcp-world.ts';

const HOST = '127.0.0.1';
// Two that want the same port and differ in how, and another one.
const LISTENERS = [
  tcpListener(5_000, { host: HOST }),
  tcpListener(5_000, { host: HOST, backlog: 7 }),
  tcpListener(5_001, { host: HOST }),
] as const;
/** A port of the space, one of a server outside, and one that nobody has. */
const TARGETS = [5_001, 6_000, 6_001] as const;

/** Ports that are wanted on and off, clients that come and go, connections that are wanted on and off, on a network with all kinds of luck. */
class Schedule implements Played {
  readonly trace: string[] = [];
  readonly outcomes: string[] = [];
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #scope: Scope;
  readonly #network: MemoryNetwork;
  readonly #calm: boolean;
  readonly #watchers: Player[] = [];
  readonly #speakers: Speaker[] = [];
  readonly #outsiders: Outsider[] = [];
  readonly #flows = new Map<string, Outsider>();
  /** What is there, by the endpoint that says so. */
  readonly #present = new Map<EndpointId, string>();
  #space!: Dataspace;
  #done!: ReturnType<Dataspace['run']>;
  #greeter!: Player;
  #server!: Listener;
  #driver = 0;
  #ids = 0;
  #partition = false;
  #killed = false;
  #finishing = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#calm = this.#int(3) === 0;
    this.#scope = new Scope({ clock: this.#clock, random: this.#random.fork(), parent: null });
    this.#network = memoryNetwork({
      clock: this.#clock,
      seed: this.#int(1_000_000),
      bufferSize: [16, 500, 65_536][this.#int(3)],
      faults: this.#faults(),
      userTimeout: 5_000,
    });
  }

  async run(): Promise<void> {
    await this.#begin();
    const steps = 20 + this.#int(20);
    for (let step = 0; step < steps; step++) {
      for (let moves = 1 + this.#int(4); moves > 0; moves--) this.#move();
      if (this.#int(3) > 0) await this.#clock.settle();
      if (this.#int(3) === 0) await this.#clock.advance(this.#int(100));
    }
    await this.#finish();
  }

  async #begin(): Promise<void> {
    const { transport } = this.#network;
    this.#space = this.#scope.run(
      () => new Dataspace({ burst: 1 + this.#int(3), onActorEnd: (end) => this.#over(end) }),
    );
    const options = {
      transport,
      inputLimit: 1 + this.#int(2_000),
      maxConnections: 1 + this.#int(8),
      claimTimeout: 500,
      listen: { linger: 1_000, deadlines: { write: 3_000 } },
      connect: { linger: 1_000, timeout: 2_000 },
    };
    this.#driver = this.#space.spawn(this.#scope.run(() => tcpDriver(options)));
    this.#space.spawn((self) => this.#greet(new Player(self)));
    for (let i = 0; i < 3; i++) this.#space.spawn((self) => void this.#watchers.push(new Player(self)));
    this.#done = this.#scope.run(() => this.#space.run());
    await this.#clock.settle();
    this.#server = await this.#clock.run(this.#scope.run(() => listen({ host: HOST, port: 6_000, transport })));
    void this.#acceptAll();
  }

  /** Sees all connections without wanting a port, and has somebody take part in each, now or later. */
  #greet(greeter: Player): void {
    const { self } = greeter;
    this.#greeter = greeter;
    self.observePublishers(
      tcpChannel(_, tcpListener(_), _),
      {
        onPresence: ({ topic: { source, destination }, interest, peer }) => {
          if (interest !== 'participant' || isHole(source) || isHole(destination.port)) return;
          this.#present.set(peer, `${source.host}:${source.port}`);
          if (this.#finishing) return;
          const client = this.#flows.get(String(source.port));
          self.spawn((one) => {
            const sides = { local: destination, remote: source, into: client?.into ?? null, out: client?.out ?? null };
            const speaker = new Speaker(one, sides, this.#clock, this.#random);
            this.#speakers.push(speaker);
            this.#log(`met ${source.port}`);
            if (this.#int(3) > 0) speaker.join(this.#which());
          });
        },
        onAbsence: ({ interest, peer, topic: { source } }) => {
          if (interest !== 'participant' || isHole(source)) return;
          this.#log(`lost ${source.port}`);
          assert.ok(this.#present.delete(peer), 'one went that had not come, or twice');
        },
      },
      { interest: 'everything' },
    );
  }

  async #acceptAll(): Promise<void> {
    for await (const connection of this.#server) {
      const outsider = new Outsider(connection, new Flow((this.#ids += 1)), null);
      this.#outsiders.push(outsider);
      outsider.read();
    }
  }

  // ---- moves ----

  #move(): void {
    const dice = this.#int(100);
    if (dice < 22) this.#watch();
    else if (dice < 34) this.#dial();
    else if (dice < 60) this.#outside();
    else if (dice < 68) this.#want();
    else if (dice < 94) this.#speak();
    else if (!this.#calm) this.#strike();
  }

  #watch(): void {
    const watcher = this.#watchers[this.#int(this.#watchers.length)] as Player;
    const listener = LISTENERS[this.#int(LISTENERS.length)] ?? LISTENERS[0];
    const dice = this.#int(5);
    this.#log(`watch ${LISTENERS.indexOf(listener)} ${dice}`);
    watcher.tell((self) => {
      if (dice < 2) self.observePublishers(tcpChannel(_, listener, _), {}, { name: 'o' });
      else if (dice < 4) self.observeSubscribers(tcpChannel(listener, _, _), {}, { name: 'o' });
      else self.observePublishers('nothing', {}, { name: 'o' });
    });
  }

  #dial(): void {
    const port = 5_000 + this.#int(2);
    const localPort = 10_000 + (this.#ids += 1);
    const { transport } = this.#network;
    const timeout = 1_000;
    this.#log(`dial ${port} from ${localPort}`);
    const into = new Flow((this.#ids += 1));
    const out = new Flow((this.#ids += 1));
    // Known before it is there, as the driver may accept it first.
    const promise = this.#scope.run(() =>
      connect({ host: HOST, port }, { transport, localHost: HOST, localPort, timeout, linger: 1_000 }),
    );
    const pending = { into, out } as Outsider;
    this.#flows.set(String(localPort), pending);
    promise.then(
      (connection) => {
        const outsider = new Outsider(connection, into, out);
        this.#outsiders.push(outsider);
        if (this.#calm || this.#int(3) > 0) outsider.read();
      },
      () => this.outcomes.push('a client was not let in'),
    );
  }

  #outside(): void {
    const outsider = this.#one(this.#outsiders);
    if (outsider === undefined) return;
    const dice = this.#int(20);
    this.#log(`outsider ${outsider.into.id} ${dice}`);
    if (dice < 13) outsider.write(1 + this.#int(1_500));
    else if (dice < 16) outsider.read();
    else if (dice < 19) outsider.end();
    else if (!this.#calm) outsider.connection.abort();
  }

  /** Somebody wants a connection, by one of a few handles. */
  #want(): void {
    const local = tcpHandle(this.#int(3));
    const port = TARGETS[this.#int(TARGETS.length)] ?? 6_000;
    const which = this.#which();
    this.#log(`want ${local.id} ${port} ${which}`);
    this.#space.spawn((self) => {
      const sides = { local, remote: tcpAddress(HOST, port), into: null, out: null };
      const speaker = new Speaker(self, sides, this.#clock, this.#random);
      this.#speakers.push(speaker);
      speaker.join(which);
    });
  }

  #speak(): void {
    const speaker = this.#one(this.#speakers.filter(({ alive }) => alive));
    if (speaker === undefined) return;
    const dice = this.#int(20);
    this.#log(`speaker ${this.#speakers.indexOf(speaker)} ${dice}`);
    if (dice < 12) speaker.send(1 + this.#int(1_500));
    else if (dice < 15) speaker.join(this.#which());
    else if (dice < 17) speaker.end();
    else speaker.quit();
  }

  #strike(): void {
    const dice = this.#int(12);
    this.#log(`strike ${dice}`);
    if (dice < 5) this.#network.faults(this.#faults());
    else if (dice < 7) this.#network.partition((this.#partition = !this.#partition));
    else if (dice < 9) this.#network.resetAll();
    else if (dice < 10 && this.#watchers[0] !== undefined) {
      this.#killed = true;
      this.#watchers[0].tell((self) => self.quit(this.#driver, 'enough'));
    }
  }

  // ---- the end ----

  /** When everybody has gone, nothing is left, and the space comes to its rest by itself. */
  async #finish(): Promise<void> {
    await this.#clock.settle();
    this.#finishing = true;
    this.#network.faults({});
    this.#network.partition(false);
    for (const outsider of this.#outsiders) {
      outsider.read();
      outsider.end();
    }
    if (this.#int(2) === 0) await this.#clock.advance(5_000);
    const sudden = this.#int(4) === 0;
    this.#log(sudden ? 'the space ends' : 'all go');
    if (sudden) this.#space.end('over');
    for (const speaker of this.#speakers) speaker.quit();
    await this.#clock.settle();
    for (const watcher of this.#watchers) watcher.quit();
    // It sees all of them go.
    this.#greeter.release();
    const summary = await this.#clock.run(this.#done);
    assert.equal(summary.state, sudden ? 'ended' : 'idle');
    assert.deepEqual(summary.failures, []);
    assert.equal(this.#speakers.filter(({ alive }) => alive).length, 0);
    if (!sudden && !this.#killed) assert.deepEqual([...this.#present.values()], [], 'somebody is still seen');
    await this.#server.close();
    // Some may come late.
    await this.#clock.advance(5_000);
    for (const { connection } of this.#outsiders) connection.abort();
    await this.#clock.advance(200_000);
    assert.equal(this.#network.listening, 0, 'a port is open');
    assert.equal(this.#network.open, 0, 'a connection is open');
    await this.#clock.run(this.#scope.close());
    assert.equal(this.#clock.armed, 0, 'a timer is set');
    for (const outsider of this.#outsiders) this.#judge(outsider, sudden);
  }

  #judge({ into, out, failed, connection }: Outsider, sudden: boolean): void {
    this.outcomes.push(failed === null ? 'came to its end' : `failed`);
    if (into.told) {
      assert.equal(into.got, into.sent, `flow ${into.id}: the end came before all of it`);
      this.outcomes.push('an end was heard');
    }
    if (out === null) return;
    if (this.#calm && !sudden && !this.#killed && out.ended && out.told && connection.closeReason?.kind !== 'dropped') {
      assert.equal(out.got, out.sent, `flow ${out.id}: the end came before all of it`);
      this.outcomes.push('an end was told');
    }
  }

  #over({ name, reason }: ActorEnd): void {
    this.#log(`ended ${name ?? ''} ${reason.kind}`);
    if (name === 'tcp connection' && reason.kind === 'quit')
      this.outcomes.push(reason.detail === undefined ? 'a connection ended' : 'a connection was lost');
  }

  #faults(): Faults {
    if (this.#calm) return this.#int(2) === 0 ? {} : { latency: { min: 0, max: 20 }, split: 0.3, coalesce: 0.3 };
    const kinds: readonly Faults[] = [
      {},
      { latency: { min: 1, max: 50 } },
      { split: 0.5, coalesce: 0.5 },
      { reset: 0.05 },
      { halfOpen: 0.02 },
      { refuse: 0.3 },
      { noDescriptors: 0.2, backlogFull: 0.2 },
      { latency: { min: 0, max: 10 }, bandwidth: 20_000, split: 0.1 },
      { slowReader: { rate: 5_000 } },
    ];
    return kinds[this.#int(kinds.length)] ?? {};
  }

  #which(): 'both' | 'in' | 'out' {
    return (['both', 'both', 'both', 'in', 'out'] as const)[this.#int(5)] ?? 'both';
  }

  #one<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#int(list.length)];
  }

  #int(below: number): number {
    return this.#random.int(below);
  }

  #log(what: string): void {
    this.trace.push(`${this.#clock.now()} ${what}`);
  }
}

testSchedules((seed) => new Schedule(seed), {
  first: 1,
  count: 2_000,
  again: [7, 77],
  outcomes: [
    'a client was not let in',
    'came to its end',
    'failed',
    'an end was heard',
    'an end was told',
    'a connection ended',
    'a connection was lost',
  ],
  enough: 500,
});

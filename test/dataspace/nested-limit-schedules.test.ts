import assert from 'node:assert/strict';
import { isPortsideError } from '../../src/base/errors.ts';
import type { EndpointHandle } from '../../src/dataspace/endpoint.ts';
import type { OuterSpace } from '../../src/dataspace/outer.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { testSchedules } from '../support/schedules.ts';
import type { Played } from '../support/schedules.ts';
import { room } from './nested-stage.ts';

const NO = 'a turn that comes to nothing';

/** An actor that does what it is told; `depth` spaces away from the ground. */
interface Player {
  readonly depth: number;
  readonly self: Self;
  readonly source: OutsideSource;
  readonly handles: EndpointHandle[];
}

/** Actors at several depths that ask for more than there is room for on the ground, or come to nothing. */
class Schedule implements Played {
  readonly trace: string[] = [];
  readonly outcomes: string[] = [];
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #players: Player[] = [];
  readonly #maxActors: number;
  readonly #maxEndpoints: number;
  /** What actors failed of, though they were not to. */
  readonly #wrong: string[] = [];
  #space!: Dataspace;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#maxActors = 6 + this.#random.int(10);
    this.#maxEndpoints = 2 + this.#random.int(10);
  }

  async run(): Promise<void> {
    const scope = new Scope({ clock: this.#clock, parent: null });
    this.#space = scope.run(
      () =>
        new Dataspace({
          burst: 1 + this.#random.int(3),
          slice: 1 + this.#random.int(8),
          queueLimit: 3 + this.#random.int(20),
          maxActors: this.#maxActors,
          maxEndpoints: this.#maxEndpoints,
          onActorEnd: ({ actor, reason, space }) => {
            this.trace.push(`ended ${space.join('/')}:${actor} ${reason.kind}`);
            if (reason.kind !== 'failed') return;
            if (reason.error.code === 'ERR_PORTSIDE_LIMIT') this.outcomes.push('a flood');
            else if (reason.error.message !== NO) this.#wrong.push(reason.error.message);
          },
        }),
    );
    let judge!: Player;
    this.#space.spawn((self) => {
      judge = { depth: 0, self, source: self.outside(), handles: [] };
    });
    const done = scope.run(() => this.#space.run());
    await this.#clock.settle();
    for (let step = 0; step < 12; step++) {
      if (this.#players.length === 0)
        judge.source.enter(() => fits(() => judge.self.spawn((one) => this.#settleIn(one, 0))));
      await this.#clock.settle();
      const moves = 1 + this.#random.int(6);
      for (let i = 0; i < moves; i++) this.#move();
      await this.#clock.settle();
      await this.#judge(judge);
    }
    this.#space.end('over');
    await this.#clock.settle();
    assert.equal((await done).state, 'ended');
    await scope.close();
  }

  #settleIn(self: Self, depth: number): void {
    const player: Player = { depth, self, source: self.outside(), handles: [] };
    this.#players.push(player);
    self.onEnd(() => this.#players.splice(this.#players.indexOf(player), 1));
  }

  #move(): void {
    const player = this.#players[this.#random.int(Math.max(1, this.#players.length))];
    player?.source.enter(() => this.#act(player));
  }

  /** One turn, with several requests that go several spaces out. */
  #act(player: Player): void {
    const { self, depth, handles } = player;
    const asks = 1 + this.#random.int(6);
    for (let i = 0; i < asks; i++) {
      const dice = this.#random.int(100);
      const levels = this.#random.int(3) === 0 ? this.#random.int(depth + 1) : depth;
      let around: Self | OuterSpace = self;
      for (let level = 0; level < levels; level++) around = around.atMeta;
      if (dice < 45) {
        const name = this.#random.int(3) === 0 ? 'n' : undefined;
        this.#ask(levels, 'endpoint', () => void handles.push(around.publish(room(`${dice}`), undefined, { name })));
      } else if (dice < 60)
        this.#ask(levels, 'spawn', () => void around.spawn((one) => this.#settleIn(one, depth - levels)));
      else if (dice < 70 && depth < 3)
        this.#ask(0, 'spawn', () => void self.spawnSpace((one) => this.#settleIn(one, depth + 1)));
      else if (dice < 90) handles.splice(this.#random.int(Math.max(1, handles.length)), 1)[0]?.withdraw();
      else if (dice < 93 && depth > 0) self.atMeta.quit('all of it');
      else if (dice < 95) self.quit('tired');
      else if (dice < 97) {
        this.outcomes.push(`a turn failed, ${depth} deep`);
        throw new Error(NO);
      }
    }
    this.#count();
  }

  #ask(levels: number, what: 'endpoint' | 'spawn', ask: () => void): void {
    try {
      ask();
      this.trace.push(`${what}, ${levels} out`);
    } catch (error) {
      if (!isPortsideError(error) || error.code !== 'ERR_PORTSIDE_LIMIT') throw error;
      assert.equal(error.op, what);
      this.trace.push(`no ${what}, ${levels} out`);
      this.outcomes.push(`no ${what}, ${levels} out`);
    }
  }

  /** There are never more than there may be. */
  #count(): { readonly actors: number; readonly endpoints: number } {
    const { actors } = this.#space.inspect();
    const endpoints = actors.reduce((sum, one) => sum + one.endpoints.length, 0);
    assert.ok(actors.length <= this.#maxActors, `${actors.length} actors of ${this.#maxActors}`);
    assert.ok(endpoints <= this.#maxEndpoints, `${endpoints} endpoints of ${this.#maxEndpoints}`);
    return { actors: actors.length, endpoints };
  }

  /** At rest there is room for as many more as are missing. */
  async #judge({ self, source }: Player): Promise<void> {
    const { actors, endpoints } = this.#count();
    let more = 0;
    let others = 0;
    const free: EndpointHandle[] = [];
    source.enter(() => {
      for (; more <= this.#maxEndpoints && fits(() => free.push(self.publish('judge'))); more++);
      for (; others <= this.#maxActors && fits(() => self.spawn(() => {})); others++);
      for (const handle of free) handle.withdraw();
    });
    await this.#clock.settle();
    assert.deepEqual(this.#wrong, []);
    assert.deepEqual([endpoints + more, actors + others], [this.#maxEndpoints, this.#maxActors]);
  }
}

function fits(ask: () => unknown): boolean {
  try {
    ask();
    return true;
  } catch (error) {
    if (isPortsideError(error) && error.code === 'ERR_PORTSIDE_LIMIT') return false;
    throw error;
  }
}

testSchedules((seed) => new Schedule(seed), {
  first: 1,
  count: 600,
  again: [3, 33],
  outcomes: [
    'no endpoint, 1 out',
    'no endpoint, 2 out',
    'no spawn, 1 out',
    'no spawn, 2 out',
    'a turn failed, 1 deep',
    'a turn failed, 2 deep',
    'a flood',
  ],
  enough: 300,
});

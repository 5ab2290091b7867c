import assert from 'node:assert/strict';
import type { EndpointHandle, EndpointId, Handlers, Interest, Orientation } from '../../src/dataspace/endpoint.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { ActorEnd } from '../../src/dataspace/kernel-settings.ts';
import type { OuterSpace } from '../../src/dataspace/outer.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';
import { intersect } from '../../src/dataspace/unify.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { testSchedules } from '../support/schedules.ts';
import type { Played } from '../support/schedules.ts';
import { room } from './nested-stage.ts';

const TOPICS: readonly Topic[] = [room('a'), room('b'), room(_), _];

/** An endpoint on the ground, of an actor that may be within spaces within it, and whom it sees. */
interface Place {
  readonly who: Player;
  readonly handle: EndpointHandle;
  orientation: Orientation;
  interest: Interest;
  topic: Topic;
  gone: boolean;
  readonly name: string | undefined;
  /** How often: one that takes another one's place is seen once more before that one is seen no more. */
  readonly seen: Map<EndpointId, number>;
  /** What came while it was there. */
  heard: string[];
}

/** An actor that does what it is told; `depth` spaces away from the ground. */
interface Player {
  readonly depth: number;
  readonly name: string;
  readonly self: Self;
  readonly source: OutsideSource;
  alive: boolean;
}

/** Actors at several depths that meet on the ground, and what each of them has to see of the others. */
class Schedule implements Played {
  readonly trace: string[] = [];
  readonly outcomes: string[] = [];
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #players: Player[] = [];
  readonly #places: Place[] = [];
  #space!: Dataspace;
  #count = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  async run(): Promise<void> {
    const scope = new Scope({ clock: this.#clock, parent: null });
    this.#space = scope.run(
      () => new Dataspace({ burst: 1 + this.#random.int(3), onActorEnd: (end) => this.#over(end) }),
    );
    this.#space.spawn((self) => this.#settleIn(self, 0), { name: 'root' });
    const done = scope.run(() => this.#space.run());
    await this.#clock.settle();
    for (let step = 0; step < 30; step++) {
      const moves = 1 + this.#random.int(4);
      for (let i = 0; i < moves; i++) this.#move();
      await this.#clock.settle();
      this.#check();
    }
    const left = this.#places.filter(({ who, gone }) => who.alive && who.depth > 0 && !gone);
    this.#space.end('over');
    await this.#clock.settle();
    const summary = await done;
    assert.equal(summary.state, 'ended');
    assert.deepEqual(summary.failures, []);
    assert.ok(
      this.#players.every(({ alive }) => !alive),
      'an actor has outlived the space',
    );
    for (const { seen } of left) assert.deepEqual([...seen], [], 'who was within was not told that the ground is gone');
    assert.equal(this.#clock.armed, 0);
    await scope.close();
  }

  #settleIn(self: Self, depth: number): void {
    this.#count += 1;
    const player: Player = { depth, name: `p${this.#count}`, self, source: self.outside(), alive: true };
    self.onEnd(() => {
      player.alive = false;
    });
    this.#players.push(player);
  }

  #over(end: ActorEnd): void {
    this.trace.push(`ended ${end.space.join('/')}:${end.actor} ${end.reason.kind}`);
  }

  #move(): void {
    const living = this.#players.filter(({ alive }) => alive);
    if (living.length === 0) return;
    const player = living[this.#random.int(living.length)];
    if (player === undefined) return;
    player.source.enter(() => this.#act(player));
  }

  #ground({ self, depth }: Player): Self | OuterSpace {
    let ground: Self | OuterSpace = self;
    for (let i = 0; i < depth; i++) ground = ground.atMeta;
    return ground;
  }

  #act(player: Player): void {
    const { self, depth, name } = player;
    const dice = this.#random.int(100);
    if (dice < 15) {
      this.#log(player, 'spawns');
      self.spawn((one) => this.#settleIn(one, depth));
    } else if (dice < 25 && depth < 3) {
      this.#log(player, 'nests');
      self.spawnSpace((one) => this.#settleIn(one, depth + 1));
    } else if (dice < 60) this.#add(player);
    else if (dice < 75) this.#withdraw(player);
    else if (dice < 90) this.#send(player);
    else if (dice < 96 && name !== 'p1') {
      this.#log(player, 'quits');
      self.quit('tired');
    } else if (depth > 0) {
      this.#log(player, 'quits its space');
      self.atMeta.quit('all of it');
    }
  }

  #add(player: Player): void {
    const name = this.#random.int(3) === 0 ? 'n' : undefined;
    const orientation = this.#random.int(2) === 0 ? 'publisher' : 'subscriber';
    const interest =
      (['participant', 'participant', 'observer', 'everything'] as const)[this.#random.int(4)] ?? 'observer';
    const topic = TOPICS[this.#random.int(TOPICS.length)] ?? _;
    const seen = new Map<EndpointId, number>();
    const old = this.#places.find(
      (place) => place.who === player && place.name === name && name !== undefined && !place.gone,
    );
    // An endpoint that takes another one's place goes on with whom that one saw.
    const place: Place = {
      who: player,
      handle: { id: 0, withdraw: () => {} },
      orientation,
      interest,
      topic,
      gone: false,
      name,
      seen: old?.seen ?? seen,
      heard: [],
    };
    const handlers: Handlers<Topic> = {
      onPresence: ({ peer }) => {
        const times = place.seen.get(peer) ?? 0;
        assert.ok(times < 2, 'a peer came thrice');
        place.seen.set(peer, times + 1);
      },
      onAbsence: ({ peer }) => {
        const times = place.seen.get(peer) ?? 0;
        assert.ok(times > 0, 'a peer went that had not come');
        if (times === 1) place.seen.delete(peer);
        else place.seen.set(peer, times - 1);
      },
      onMessage: ({ topic: message }) => void place.heard.push(JSON.stringify(message)),
    };
    const ground = this.#ground(player);
    const handle =
      orientation === 'publisher'
        ? ground.publish(topic, handlers, { interest, name })
        : ground.subscribe(topic, handlers, { interest, name });
    if (old !== undefined) {
      assert.equal(handle.id, old.handle.id);
      // Those who are on the other side now are other peers by the same numbers.
      old.gone = true;
    }
    this.#log(player, `${orientation} ${interest} ${TOPICS.indexOf(topic)} ${name ?? ''} as ${handle.id}`);
    this.#places.push({ ...place, handle, seen: place.seen, heard: place.heard });
  }

  #withdraw(player: Player): void {
    const own = this.#places.filter(({ who, gone }) => who === player && !gone);
    const place = own[this.#random.int(Math.max(1, own.length))];
    if (place === undefined) return;
    this.#log(player, `withdraws ${place.handle.id}`);
    place.handle.withdraw();
    place.gone = true;
  }

  #send(player: Player): void {
    this.#count += 1;
    const message = room(`m${this.#count}`);
    this.#log(player, `sends m${this.#count}`);
    this.#ground(player).send(message);
  }

  #log(player: Player, what: string): void {
    this.trace.push(`${player.name} (${player.depth}) ${what}`);
  }

  /** At rest everybody sees those that are there, and nobody else, wherever they are. */
  #check(): void {
    const there = this.#places.filter(({ who, gone }) => who.alive && !gone);
    for (const place of there) {
      const peers = there.filter(
        (other) =>
          other.orientation !== place.orientation &&
          (other.interest === 'participant' || place.interest === 'everything') &&
          intersect(other.topic, place.topic) !== undefined,
      );
      const ids = peers.map(({ handle }) => handle.id).toSorted((a, b) => a - b);
      assert.deepEqual(
        [...place.seen.keys()].toSorted((a, b) => a - b),
        ids,
        `${place.who.name}'s ${place.handle.id}`,
      );
      const depths = new Set([place.who.depth, ...peers.map(({ who }) => who.depth)]);
      if (depths.size > 1) this.outcomes.push('met across depths');
      if (Math.max(...depths) > 1 && peers.length > 0) this.outcomes.push('met from two deep');
    }
    const kinds = this.trace.map((line) => line.split(' ').slice(2).join(' '));
    if (kinds.includes('quits its space')) this.outcomes.push('a space was quit');
    // A report shows the same actors.
    assert.equal(count(this.#space.inspect().actors), this.#players.filter(({ alive }) => alive).length);
  }
}

type Reports = ReturnType<Dataspace['inspect']>['actors'];

/** Those that stand for a space are not among the players. */
function count(actors: Reports): number {
  return actors.reduce((sum, { space }) => sum + (space === undefined ? 1 : count(space.actors)), 0);
}

testSchedules((seed) => new Schedule(seed), {
  first: 1,
  count: 1_500,
  again: [7, 77],
  outcomes: ['met across depths', 'met from two deep', 'a space was quit'],
  enough: 500,
});

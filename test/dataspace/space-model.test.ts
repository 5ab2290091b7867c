import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AbsenceEvent, EndpointHandle, Interest, Orientation } from '../../src/dataspace/endpoint.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { topicKey } from '../../src/dataspace/topic-key.ts';
import type { Datum, Topic } from '../../src/dataspace/topic-types.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { isGroundPlain, naiveMeet, plainTopics, realTopic } from './plain-topics.ts';
import type { Plain } from './plain-topics.ts';

interface Spec {
  readonly actor: number;
  readonly orientation: Orientation;
  readonly interest: Interest;
  readonly topic: Plain;
}

type Step =
  | { readonly kind: 'add'; readonly spec: Omit<Spec, 'actor'>; readonly name: string | undefined }
  | { readonly kind: 'withdraw'; readonly which: number }
  | { readonly kind: 'send'; readonly from: Orientation; readonly topic: Plain };

interface Sent {
  readonly from: Orientation;
  readonly topic: Plain;
}

interface Play {
  readonly actor: number;
  readonly steps: readonly Step[];
  readonly end: 'return' | 'throw' | 'quit' | 'quit another';
}

const text = (value: string): Plain => ({ kind: 'scalar', value });
const pair = (a: Plain, b: Plain): Plain => ({ kind: 'list', items: [a, b] });
const open: Plain = { kind: 'hole', name: null };
const few = [open, text('x'), pair(text('x'), open), pair(open, text('y')), pair(text('x'), text('y'))];
const topics = fc.oneof({ arbitrary: fc.constantFrom(...few), weight: 5 }, plainTopics({ holes: true }));

const specs = fc.record({
  orientation: fc.constantFrom<Orientation>('publisher', 'subscriber'),
  interest: fc.constantFrom<Interest>('participant', 'participant', 'observer', 'everything'),
  topic: topics,
});
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      spec: specs,
      name: fc.constantFrom(undefined, 'n', 'n', 'm'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), which: fc.nat({ max: 99 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      from: fc.constantFrom<Orientation>('publisher', 'subscriber'),
      topic: topics.filter(isGroundPlain),
    }),
  },
);
const ACTORS = 3;
const plays: fc.Arbitrary<Play> = fc.record({
  actor: fc.nat({ max: ACTORS - 1 }),
  steps: fc.array(steps, { maxLength: 5 }),
  end: fc.constantFrom('return', 'return', 'return', 'return', 'return', 'throw', 'quit', 'quit another'),
});

/** What each endpoint sees of which others, worked out pair by pair. */
function sightsIn(world: ReadonlyMap<number, Spec>): Map<string, { seer: number; line: string }> {
  const sights = new Map<string, { seer: number; line: string }>();
  for (const [seer, mine] of world) {
    for (const [seen, theirs] of world) {
      if (mine.orientation === theirs.orientation) continue;
      if (theirs.interest !== 'participant' && mine.interest !== 'everything') continue;
      const met = naiveMeet(mine.topic, theirs.topic);
      if (met === null) continue;
      const line = `${seer}: ${seen} ${theirs.interest} ${mine.orientation} ${topicKey(realTopic(met))}`;
      sights.set(line, { seer, line });
    }
  }
  return sights;
}

/** Actors that do as they are told, and a naive account of what they ought to see. */
class Theatre {
  readonly #clock = new VirtualClock();
  readonly #space: Dataspace;
  readonly #actors: ({ self: Self; source: OutsideSource; names: Map<string, number> } | undefined)[] = [];
  readonly #handles = new Map<number, EndpointHandle>();
  world: Map<number, Spec> = new Map();
  /** What was heard since the last look. */
  log: string[] = [];
  /** What is seen now, as told. */
  readonly views: Map<string, number> = new Map();

  constructor() {
    const scope = new Scope({ parent: null, clock: this.#clock });
    this.#space = scope.run(() => new Dataspace({ burst: 2, slice: 5 }));
  }

  async open(): Promise<void> {
    this.#space.outside();
    void this.#space.run();
    await this.#fill();
  }

  async #fill(): Promise<void> {
    for (let i = 0; i < ACTORS; i++) {
      if (this.#actors[i] !== undefined) continue;
      this.#space.spawn((self) => {
        this.#actors[i] = { self, source: self.outside(), names: new Map() };
      });
    }
    await this.#clock.settle();
  }

  settle(): Promise<void> {
    return this.#clock.settle();
  }

  /** Fills the stage with actors, plays a turn and lets everything happen; gives what it ought to have brought about. */
  async play(play: Play): Promise<string[]> {
    await this.#fill();
    const before = this.world;
    let sent: Sent[] = [];
    this.enter(play, (messages) => (sent = messages));
    await this.settle();
    const was = sightsIn(before);
    const is = sightsIn(this.world);
    const expected: string[] = [];
    for (const line of is.keys()) if (!was.has(line)) expected.push(`+ ${line}`);
    for (const [line, { seer }] of was) if (!is.has(line) && this.world.has(seer)) expected.push(`- ${line}`);
    for (const { from, topic } of sent)
      for (const [id, spec] of this.world)
        if (spec.orientation !== from && naiveMeet(spec.topic, topic) !== null)
          expected.push(`! ${id} ${topicKey(realTopic(topic))}`);
    return expected;
  }

  /** Has an actor play a turn soon. */
  enter({ actor, steps: asked, end }: Play, done?: (sent: Sent[]) => void): void {
    const player = this.#actors[actor];
    player?.source.enter(() => {
      const after = new Map(this.world);
      const names = new Map(player.names);
      const sent: Sent[] = [];
      const mine = [...this.world].filter(([, spec]) => spec.actor === actor).map(([id]) => id);
      for (const step of asked) {
        if (step.kind === 'add') {
          const id = this.#add(player.self, step);
          after.set(id, { ...step.spec, actor });
          if (step.name !== undefined) {
            assert.equal(id, names.get(step.name) ?? id);
            names.set(step.name, id);
          }
          if (!mine.includes(id)) mine.push(id);
        } else if (step.kind === 'withdraw') {
          const id = mine[step.which % Math.max(mine.length, 1)];
          if (id === undefined) continue;
          this.#handles.get(id)?.withdraw();
          after.delete(id);
        } else {
          if (step.from === 'publisher') player.self.send(realTopic(step.topic) as Datum);
          else player.self.feedback(realTopic(step.topic) as Datum);
          sent.push(step);
        }
      }
      const other = (actor + 1) % ACTORS;
      const another = this.#actors[other];
      if (end === 'quit') player.self.quit();
      if (end === 'quit another' && another !== undefined) player.self.quit(another.self.id, null);
      const gone = end === 'return' ? undefined : end === 'quit another' ? other : actor;
      if (gone !== undefined) this.#actors[gone] = undefined;
      // What is asked for takes effect right after this.
      const effect = end === 'throw' ? this.world : after;
      this.world = new Map([...effect].filter(([, spec]) => spec.actor !== gone));
      player.names = new Map([...names].filter(([, id]) => after.has(id)));
      if (end === 'throw') throw new Error('as told');
      done?.(sent);
    });
  }

  #add(self: Self, { spec, name }: Extract<Step, { kind: 'add' }>): number {
    let id = 0;
    const line = ({ topic, peer, interest }: { topic: Topic; peer: number; interest: Interest }): string =>
      `${id}: ${peer} ${interest} ${spec.orientation} ${topicKey(topic)}`;
    const handlers = {
      onPresence: (event: { topic: Topic; peer: number; interest: Interest }) => {
        this.log.push(`+ ${line(event)}`);
        this.views.set(line(event), (this.views.get(line(event)) ?? 0) + 1);
      },
      onAbsence: (event: AbsenceEvent<Topic>) => {
        this.log.push(`- ${line(event)}`);
        const count = (this.views.get(line(event)) ?? 0) - 1;
        if (count === 0) this.views.delete(line(event));
        else this.views.set(line(event), count);
      },
      onMessage: ({ topic }: { topic: Topic }) => this.log.push(`! ${id} ${topicKey(topic)}`),
    };
    const options = { interest: spec.interest, name };
    const topic = realTopic(spec.topic);
    const handle =
      spec.orientation === 'publisher'
        ? self.publish(topic, handlers, options)
        : self.subscribe(topic, handlers, options);
    ({ id } = handle);
    this.#handles.set(id, handle);
    return id;
  }

  /** What is told to be seen by endpoints that are still there. */
  seen(): string[] {
    return [...this.views.keys()].filter((line) => this.world.has(Number.parseInt(line, 10))).toSorted();
  }
}

const KINDS = ['+', '!', '-'];

describe('a space against a naive one', () => {
  test('each turn brings about exactly the presence, messages and absence that the pairs before and after say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plays, { maxLength: 8 }), async (script) => {
        const theatre = new Theatre();
        await theatre.open();
        for (const play of script) {
          theatre.log = [];
          const expected = await theatre.play(play);
          assert.deepEqual(theatre.log.toSorted(), expected.toSorted());
          assert.deepEqual(theatre.seen(), [...sightsIn(theatre.world).keys()].toSorted());
          // To each endpoint, presence first and absence last.
          const order = new Map<number, number>();
          for (const line of theatre.log) {
            const id = Number.parseInt(line.slice(2), 10);
            const rank = KINDS.indexOf(line[0] as string);
            assert.ok(rank >= (order.get(id) ?? 0), theatre.log.join('\n'));
            order.set(id, rank);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('when turns crowd, what endpoints were told adds up to what is there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(plays, { maxLength: 8 }), { maxLength: 3 }), async (script) => {
        const theatre = new Theatre();
        await theatre.open();
        for (const crowd of script) {
          for (const play of crowd) theatre.enter(play);
          await theatre.settle();
          assert.deepEqual(theatre.seen(), [...sightsIn(theatre.world).keys()].toSorted());
          for (const [line, count] of theatre.views)
            if (theatre.world.has(Number.parseInt(line, 10))) assert.equal(count, 1, line);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

/**
 * What a routed delivery costs, from `send` to the handler: to one actor after another, to a thousand at once, and among
 * endpoints that the message is not for. `node bench/dataspace-deliveries.ts [rounds]`
 */
import { Dataspace, _, record } from '../src/dataspace.ts';
import type { Boot } from '../src/dataspace.ts';

const says = record('says', ['room', 'who', 'what']).of<{ room: string; who: string; what: string }>();
const ROUNDS = Number(process.argv[2] ?? 5);

interface Work {
  readonly name: string;
  readonly deliveries: number;
  readonly actors: readonly Boot[];
  /** The CPU time when the first delivery was made. */
  readonly since: () => NodeJS.CpuUsage | undefined;
}

/** Two actors that answer one another: each delivery is a turn, and asks for the next. */
function pingPong(count: number, others: number): Work {
  let left = count;
  let before: NodeJS.CpuUsage | undefined;
  const player =
    (own: string, other: string): Boot =>
    (self) => {
      self.subscribe(says('table', own, _), {
        onMessage: () => {
          // Those who are only there have booted by now.
          before ??= process.cpuUsage();
          left -= 1;
          if (left > 0) self.send(says('table', other, 'ball'));
          else self.quit();
        },
      });
      if (own === 'ping') self.async(Promise.resolve(), () => self.send(says('table', 'pong', 'ball')));
    };
  const crowd = Array.from(
    { length: others },
    (_one, i): Boot =>
      (self) =>
        self.subscribe(says(`room ${i % 100}`, `somebody ${i}`, _), { onMessage: () => {} }),
  );
  return {
    name: `one to one, among ${others} others`,
    deliveries: count,
    actors: [...crowd, player('ping', 'pong'), player('pong', 'ping')],
    since: () => before,
  };
}

/** One that tells all others, again and again. */
function fanOut(members: number, lines: number): Work {
  let before: NodeJS.CpuUsage | undefined;
  let heard = 0;
  const member: Boot = (self) => {
    self.subscribe(says('hall', _, _), {
      onMessage: () => {
        before ??= process.cpuUsage();
        heard += 1;
      },
    });
  };
  const speaker: Boot = (self) => {
    let said = 0;
    const source = self.outside();
    const say = (): void => {
      self.send(says('hall', 'speaker', `line ${said}`));
      said += 1;
      if (said < lines) source.enter(say);
      else source.release();
    };
    source.enter(say);
  };
  return {
    name: `one to ${members}`,
    deliveries: members * lines,
    actors: [...Array.from({ length: members }, () => member), speaker],
    since: () => before,
  };
}

async function measure({ deliveries, actors, since }: Work): Promise<number> {
  const space = new Dataspace({ sliceTime: 1_000, slice: 1_000_000 });
  for (const boot of actors) space.spawn(boot);
  await space.run();
  const { user, system } = process.cpuUsage(since());
  space.end();
  return ((user + system) * 1_000) / deliveries;
}

const works = [
  () => pingPong(500_000, 0),
  () => pingPong(500_000, 1_000),
  () => pingPong(500_000, 100_000),
  () => fanOut(1_000, 500),
];
const taken = works.map(() => [] as number[]);
// In turns, so that what else the machine does falls on all of them.
for (let round = 0; round <= ROUNDS; round++)
  for (const [i, make] of works.entries()) {
    const cost = await measure(make());
    if (round > 0) taken[i]?.push(cost);
  }
for (const [i, make] of works.entries()) {
  const costs = (taken[i] ?? []).toSorted((a, b) => a - b);
  const median = costs[Math.floor(costs.length / 2)] ?? 0;
  const rate = Math.round(1e9 / median / 1_000);
  console.log(
    `${make().name.padEnd(36)} ${Math.round(median).toString().padStart(6)} ns a delivery, ${rate},000 a second`,
  );
}

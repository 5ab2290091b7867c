/**
 * What routing in the dataspace costs, in nanoseconds of this process's CPU, the collector's and the compiler's threads
 * included: `node bench/dataspace-index.ts`. Run by hand; it needs no load and no sockets.
 *
 * Each figure is the least of several rounds, with the median beside it: on a machine that is shared the least is
 * nearest to the cost of the work. Sizes take turns within a round, so that what disturbs one disturbs the others.
 */
import { _, capture } from '../src/dataspace/hole.ts';
import { Pattern } from '../src/dataspace/pattern.ts';
import { record } from '../src/dataspace/record.ts';
import { RoutingIndex } from '../src/dataspace/routing-index.ts';
import type { Topic } from '../src/dataspace/topic-types.ts';
import { intersect } from '../src/dataspace/unify.ts';

const ROUNDS = 15;
const BATCH = 50_000;
const SIZES = [10, 1_000, 100_000] as const;

const four = record('four', ['kind', 'id', 'name', 'rest']);
const address = record('tcp-address', ['host', 'port']);
const listener = record('tcp-listener', ['port']);
const channel = record('tcp-channel', ['source', 'destination', 'body']);
const says = record('says', ['who', 'what']);

let sink = 0;

interface Job {
  readonly what: string;
  /** How many times it is done in a round. */
  readonly count: number;
  readonly turn: (i: number) => unknown;
  /** How many things one turn does. */
  readonly each?: number;
}

/** The least cost of one turn of each job, in nanoseconds, printed as it is found. */
function measure(jobs: readonly Job[]): number[] {
  const times = jobs.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [j, { count, turn, each }] of jobs.entries()) {
      const before = process.cpuUsage();
      for (let i = 0; i < count; i++) if (turn(i) !== undefined) sink++;
      const { user, system } = process.cpuUsage(before);
      times[j]!.push(((user + system) * 1_000) / count / (each ?? 1));
    }
  }
  return jobs.map(({ what }, j) => {
    const sorted = times[j]!.toSorted((a, b) => a - b);
    const least = sorted[0]!;
    const median = sorted[sorted.length >> 1]!;
    process.stdout.write(`${what.padEnd(64)} ${least.toFixed(1).padStart(8)} ns  (median ${median.toFixed(1)})\n`);
    return least;
  });
}

const grouped = (n: number): string => n.toLocaleString('en');

process.stdout.write(`Node ${process.version}\n`);

const indexes = SIZES.map((size) => {
  const index = new RoutingIndex<number>();
  for (let i = 0; i < size; i++) index.add(new Pattern(four('kind', i, `name ${i}`, _)), i);
  return index;
});

const message = four('kind', 7, 'name 7', 'anything');
const one = measure(
  indexes.map((index, i) => ({
    what: `a message to one of ${grouped(SIZES[i]!)}`,
    count: BATCH,
    turn: () => index.match(message)[0],
  })),
);
const many = measure(
  indexes.map((index, i) => {
    const messages = Array.from({ length: 1_000 }, (_none, k) => {
      const to = Math.floor((k * SIZES[i]!) / 1_000);
      return four('kind', to, `name ${to}`, 'anything');
    });
    return {
      what: `messages to one thousand of ${grouped(SIZES[i]!)} in turn`,
      count: BATCH,
      turn: (k: number) => index.match(messages[k % 1_000]!)[0],
    };
  }),
);
const coming = measure(
  indexes.map((index, i) => ({
    what: `an endpoint comes, is met and goes among ${grouped(SIZES[i]!)}`,
    count: 10_000,
    turn: (k: number) => {
      const pattern = new Pattern(four('kind', -1 - k, 'newcomer', _));
      const entry = index.add(pattern, k);
      const [met] = index.match(pattern.topic);
      index.remove(entry);
      return met;
    },
  })),
);

const connections = new RoutingIndex<number>();
connections.add(new Pattern(channel(_, listener(5_999), _)), -1);
for (let i = 0; i < 1_000; i++) connections.add(new Pattern(channel(address('10.0.0.1', i), listener(5_999), _)), i);
const source = address('10.0.0.1', 7);
const destination = listener(5_999);
const chunk = new Uint8Array(1_024);
const room = new RoutingIndex<number>();
for (let i = 0; i < 1_000; i++) room.add(new Pattern(says(_, _)), i);
const line = says('ann', 'hello');
const pattern: Topic = new Pattern(channel(capture('source'), listener(5_999), _)).topic;
const arrived = channel(source, destination, chunk);

measure([
  { what: 'a record of three fields', count: BATCH, turn: () => channel(source, destination, chunk) },
  {
    what: 'a chunk of one of 1,000 connections, to two endpoints',
    count: BATCH,
    turn: () => connections.match(arrived),
  },
  { what: 'a line to 1,000 members, for each', count: 500, each: 1_000, turn: () => room.match(line) },
  { what: 'what a pattern and a message have in common', count: BATCH, turn: () => intersect(pattern, arrived) },
]);

/** V8's hash of a whole number as a Map has it, which is the same in every process. */
function mapHash(key: number): number {
  let hash = (~key + (key << 15)) | 0;
  hash ^= hash >>> 12;
  hash = (hash + (hash << 2)) | 0;
  hash ^= hash >>> 4;
  hash = Math.imul(hash, 2_057);
  return (hash ^ (hash >>> 16)) & 0x3fff_ffff;
}

const HOSTILE = 10_000;
const colliding: number[] = [];
for (let key = 0; colliding.length < HOSTILE && key < 2 ** 31; key++)
  if ((mapHash(key) & 0x1fff) === 0) colliding.push(key);
const harmless = colliding.map((_key, i) => i * 31_337);
const id = record('id', ['number']);

function fill(keys: readonly number[]): number {
  const index = new RoutingIndex<number>();
  for (const key of keys) index.add(new Pattern(id(key)), key);
  return index.size;
}

const hostile = measure([
  { what: 'adding one of 10,000 numbers', count: 1, each: HOSTILE, turn: () => fill(harmless) },
  { what: 'the same, chosen to collide in a Map', count: 1, each: HOSTILE, turn: () => fill(colliding) },
  { what: 'such numbers in a Map', count: 1, each: HOSTILE, turn: () => new Map(colliding.map((key) => [key, key])) },
]);

const spread = (costs: readonly number[]): string => (Math.max(...costs) / Math.min(...costs)).toFixed(2);
process.stdout.write(
  `\nOne message among 10 to 100,000: within ${spread(one)} × (of 1.5 ×), at most ${Math.max(...one).toFixed(0)} ns (of 400); ` +
    `to a thousand of them in turn within ${spread(many)} ×\n` +
    `Coming, being met and going among 100,000: ${(coming[2]! / 1_000).toFixed(2)} µs (of 20)\n` +
    `Hostile numbers: ${(hostile[1]! / hostile[0]!).toFixed(2)} × the harmless\n`,
);
if (sink === 0) throw new Error('nothing was met');

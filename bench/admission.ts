/**
 * What the parts of admission cost, in nanoseconds of this process's CPU, the collector's and the compiler's threads
 * included: `node bench/admission.ts`. Run by hand; it needs no load and no sockets.
 *
 * Each figure is the least of several rounds, with the median beside it: on a machine that is shared the least is
 * nearest to the cost of the work. Texts are made anew for each look-up, as a socket gives them, so that nothing hashed
 * or flattened before helps.
 */
import { Buffer } from 'node:buffer';
import { AddressList } from '../src/net/address-list.ts';
import { clientKey } from '../src/server/client-key.ts';
import { LocalPermits } from '../src/server/permits.ts';
import { RateLimiter } from '../src/server/rate.ts';
import { seededRandom } from '../src/sync/random.ts';
import { systemClock } from '../src/sync/clock.ts';
import type { Address } from '../src/transport/address.ts';

const ROUNDS = 15;
const TRACKED = 100_000;
const RULES = 10_000;
const BATCH = 20_000;
const BUDGET = 2_000;

const random = seededRandom(1);

function ipv4(): string {
  return `${1 + random.int(223)}.${random.int(256)}.${random.int(256)}.${random.int(256)}`;
}

function ipv6(): string {
  const groups = Array.from({ length: 6 }, () => random.int(65_536).toString(16));
  return `2001:${groups.slice(0, 3).join(':')}::${groups.slice(3).join(':')}`;
}

/** The same text in a string of its own, as the system's are. */
function fresh(texts: readonly string[]): string[] {
  return texts.map((text) => Buffer.from(text).toString('latin1'));
}

function addresses(hosts: readonly string[]): Address[] {
  return fresh(hosts).map((host) => ({ family: host.includes(':') ? 'ipv6' : 'ipv4', host, port: 1 }));
}

let sink = 0;

/** Prints and gives the least time of one turn, in nanoseconds. */
function measure<T>(what: string, make: () => readonly T[], turn: (item: T) => unknown): number {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const items = make();
    const before = process.cpuUsage();
    for (const item of items) if (turn(item) === true) sink++;
    const { user, system } = process.cpuUsage(before);
    times.push(((user + system) * 1_000) / items.length);
  }
  times.sort((a, b) => a - b);
  const least = times[0]!;
  const median = times[times.length >> 1]!;
  process.stdout.write(`${what.padEnd(56)} ${least.toFixed(0).padStart(6)} ns  (median ${median.toFixed(0)})\n`);
  return least;
}

function rules(): string[] {
  const made = new Set<string>();
  while (made.size < RULES / 2) made.add(`${1 + random.int(223)}.${random.int(256)}.${random.int(256)}.0/24`);
  while (made.size < RULES) {
    const groups = Array.from({ length: 2 }, () => random.int(65_536).toString(16));
    made.add(`2001:${groups.join(':')}::/48`.replace(/:0(?=:)/gu, ':1'));
  }
  return [...made];
}

const entries = rules();
const list = new AddressList(entries);
const inside = entries.map((entry) => entry.replace(/\.0\/24$/u, '.7').replace('::/48', ':1:2::3'));
const hosts4 = Array.from({ length: BATCH }, (_, i) => (i % 2 === 0 ? ipv4() : inside[i % (RULES / 2)]!));
const hosts6 = Array.from({ length: BATCH }, (_, i) => (i % 2 === 0 ? ipv6() : inside[RULES / 2 + (i % (RULES / 2))]!));

process.stdout.write(`Node ${process.version}, ${RULES} rules, ${TRACKED} clients\n`);
const has4 = measure(
  'AddressList.has, IPv4, half of them in',
  () => fresh(hosts4),
  (host) => list.has(host),
);
const has6 = measure(
  'AddressList.has, IPv6, half of them in',
  () => fresh(hosts6),
  (host) => list.has(host),
);
const key4 = measure(
  'clientKey, IPv4',
  () => addresses(hosts4),
  (address) => clientKey(address).length > 0,
);
const key6 = measure(
  'clientKey, IPv6',
  () => addresses(hosts6),
  (address) => clientKey(address).length > 0,
);

const known = Array.from({ length: TRACKED }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
const limiter = new RateLimiter({ connections: 20, per: 3_600_000 }, systemClock);
for (const client of known) limiter.allow(client);
const shuffled = (): string[] => Array.from({ length: BATCH }, () => known[random.int(TRACKED)]!);
const allow = measure(
  `RateLimiter.allow, known clients (${limiter.tracked} tracked)`,
  () => fresh(shuffled()),
  (client) => limiter.allow(client),
);
let next = 0;
const newcomers = measure(
  'RateLimiter.allow, newcomers to a full table',
  () => fresh(Array.from({ length: BATCH }, () => `172.${(next >> 16) & 255}.${(next >> 8) & 255}.${next++ & 255}`)),
  (client) => limiter.allow(client),
);

const permits = new LocalPermits({ connections: TRACKED * 2, perClient: 50 }, systemClock);
for (const client of known) {
  permits.take();
  permits.takeFor(client);
}
const round = measure(
  'LocalPermits: take, takeFor, giveFor, give',
  () => fresh(shuffled()),
  (client) => {
    permits.take();
    const taken = permits.takeFor(client);
    if (taken) permits.giveFor(client);
    permits.give();
    return taken;
  },
);

const both = (has: number, key: number): number => 2 * has + key + Math.max(allow, newcomers) + round;
process.stdout.write(
  `\nOne connection, by deny list, allow list, key, rate and permits: IPv4 ${both(has4, key4).toFixed(0)} ns, ` +
    `IPv6 ${both(has6, key6).toFixed(0)} ns, of ${BUDGET} ns\n`,
);
if (sink === 0) throw new Error('nothing was in any list');

// Calls the raw addon with anything at any time: `node native-fuzz.ts <seed> <steps>`. It has to come to its end and say so. Also run as a
// worker thread, by `workerData`, that never ends by itself.
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { loadNative } from '../../../src/transport/native/load.ts';
import {
  ARENA_BYTES,
  CTL_ARENA,
  CTL_DEFERRED,
  CTL_EPOCH,
  CTL_EVENTS,
  CTL_GEN,
  CTL_ID,
  CTL_OPS,
  CTL_PORT,
  CTL_RESULTS,
  OP_INTS,
  OPS,
} from '../../../src/transport/native/layout.ts';

interface Known {
  readonly slot: number;
  readonly gen: number;
  readonly kind: 'listener' | 'channel' | 'outbox' | 'inbox';
}

type Raw = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

const given = isMainThread ? process.argv.slice(2).map(Number) : (workerData as readonly number[]);
const [seed = 1, steps = 1_000] = given;
const loaded = loadNative();
if ('reason' in loaded) throw new Error(loaded.reason);
const addon = loaded.addon as unknown as Raw;
const names = Object.keys(addon).filter((name) => typeof addon[name] === 'function');
/** They take descriptors by number: what is no number is taken for -1 or 0, and others are somebody's. */
const byDescriptor = new Set(['adopt', 'listen', 'open']);
/** They give descriptors away, and a thread that is ended in between can't close them. */
const giving = new Set(['release', 'share']);

let state = seed;
/** mulberry32 */
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}

function oneOf<T>(all: readonly T[]): T {
  return all[random(all.length)] as T;
}

const detached = new Uint8Array(new ArrayBuffer(100));
structuredClone(detached.buffer, { transfer: [detached.buffer] });
const odd: readonly unknown[] = [
  ...[-1, 0, 1, 2, 3, 7, 64, 127, 4_096, 65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, 1.5, -0],
  ...[
    Number.NaN,
    Infinity,
    undefined,
    null,
    true,
    '',
    'x',
    '\0',
    '\u{1f600}',
    '127.0.0.1',
    '::1',
    'fe80::1%lo',
    10n ** 30n,
  ],
  ...['y'.repeat(127), 'y'.repeat(128), 'z'.repeat(100_000), Symbol('s'), {}, [], () => {}, new Date(0)],
  ...[
    new Uint8Array(0),
    new Uint8Array(3),
    new Uint8Array(70_000),
    new Float64Array(4),
    new DataView(new ArrayBuffer(8)),
  ],
  ...[detached, new Uint8Array(new SharedArrayBuffer(64)), new Uint8Array(new ArrayBuffer(8, { maxByteLength: 64 }))],
  { valueOf: () => 3 },
  new Proxy({}, {}),
];

// Before it is opened nothing is there to be harmed.
for (const name of names) if (name !== 'open') for (const value of odd) addon[name]!(value, value, value, value, value);
if (addon['open']!({}) !== -constants.errno.EINVAL) throw new Error('it was opened without a function');

const buffers = addon['open']!(turn) as Readonly<Record<string, ArrayBuffer>>;
if (addon['open']!(turn) !== -constants.errno.EALREADY) throw new Error('it was opened twice');
let ctl = new Int32Array(buffers['ctl']!);
let ops = new Int32Array(buffers['ops']!);
let events = new Int32Array(buffers['events']!);
let results = new Int32Array(buffers['results']!);
let arena = new Uint8Array(buffers['arena']!);
let slab = new Uint8Array(buffers['slab']!);
let depth = 0;
const live: Known[] = [];

function add(slot: unknown, kind: Known['kind']): void {
  if (typeof slot === 'number' && slot >= 0) live.push({ slot, gen: ctl[CTL_GEN]!, kind });
}

function close(known: Known): void {
  live.splice(live.indexOf(known), 1);
  addon['close']!(known.slot, known.gen);
}

function one(kind: Known['kind']): Known | undefined {
  return oneOf(live.filter((known) => known.kind === kind));
}

/** The same memory by another ArrayBuffer; the one before is empty. */
function stolen(view: { readonly buffer: ArrayBufferLike }): ArrayBuffer {
  return (view.buffer as ArrayBuffer & { transfer(): ArrayBuffer }).transfer();
}

function operation(known: Known | undefined): void {
  const at = Math.abs(ctl[CTL_OPS]!) % OPS;
  const size = oneOf([0, 1, 100, 5_000, 65_536, -5, 2 ** 30]);
  const from = oneOf([0, 1, 8, ARENA_BYTES - 1, -1, 2 ** 31 - 1]);
  const next = oneOf([0, 0, at + 1, at, 4_095, -1, 2 ** 31 - 1]);
  ops.set([known?.slot ?? random(300), known?.gen ?? random(3), random(12) - 1, from, size, next], at * OP_INTS);
  ctl[CTL_OPS] = at + 1;
}

const moves: readonly (() => void)[] = [
  () => add(addon['listen']!(0, oneOf(['127.0.0.1', '::1']), 0, random(8), 16), 'listener'),
  () => add(addon['listen']!(1, `\0portside fuzz ${process.pid} ${random(1e9)}`, 0, 0, 16), 'listener'),
  () => {
    const listener = one('listener');
    if (listener === undefined) return;
    const path = addon['address']!(listener.slot, listener.gen, 0);
    const unix = typeof path === 'string';
    const local = oneOf([undefined, '127.0.0.1', '', 'nowhere', 4]);
    add(addon['dial']!(unix ? 1 : 0, unix ? path : '127.0.0.1', ctl[CTL_PORT], local, 0), 'channel');
  },
  () => {
    const from = one(oneOf(['listener', 'inbox']));
    if (from !== undefined) add(addon['accept']!(from.slot, from.gen), 'channel');
    if (random(2) === 0) addon['unread']!();
  },
  () => {
    const from = one(oneOf(['listener', 'inbox']));
    if (from !== undefined) addon['want']!(from.slot, from.gen, random(2));
  },
  () => add(addon['mailbox']!(oneOf([1, 2, 16, 0, -1, 2 ** 20, 2 ** 20 + 1])), 'outbox'),
  () => add(addon['join']!(oneOf([new Float64Array(ctl.buffer, CTL_ID * 4, 1)[0], 0, -1, Number.NaN])), 'inbox'),
  () => {
    const channel = one('channel');
    const box = one('outbox');
    if (channel === undefined || box === undefined) return;
    const unread = oneOf([undefined, new Uint8Array(5), detached, new Uint8Array(0), 'x']);
    if (addon['give']!(channel.slot, channel.gen, box.slot, box.gen, random(99), random(64), unread) === 0)
      live.splice(live.indexOf(channel), 1);
  },
  () => {
    const box = one('outbox');
    if (box !== undefined) add(addon['untaken']!(box.slot, box.gen), 'channel');
  },
  () => {
    const channel = one('channel');
    if (channel === undefined) return;
    addon['write']!(
      channel.slot,
      channel.gen,
      oneOf([new Uint8Array(200_000), arena, slab, detached]),
      oneOf([0, 9, -1, 2 ** 31 - 1]),
    );
    addon[oneOf(['recv', 'read'])]!(channel.slot, channel.gen, oneOf([new Uint8Array(100), slab, detached]));
  },
  () => {
    const owner = oneOf(live);
    if (owner === undefined || !isMainThread) return;
    const fd = addon[owner.kind === 'listener' ? 'share' : 'release']!(owner.slot, owner.gen);
    if (typeof fd !== 'number' || fd < 3) return;
    if (owner.kind === 'channel') live.splice(live.indexOf(owner), 1);
    const again = owner.kind === 'channel' ? addon['adopt']!(fd, random(2)) : -1;
    if (again === -1 || random(3) === 0) closeSync(fd);
    else add(again, 'channel');
  },
  () => {
    const known = oneOf(live);
    if (known !== undefined) close(known);
  },
  () => operation(oneOf(live)),
  () => operation(one('channel')),
  () => operation(one('channel')),
  () => operation(undefined),
  () =>
    void (ctl[oneOf([CTL_OPS, CTL_ARENA, CTL_EPOCH, CTL_EVENTS, CTL_RESULTS, CTL_DEFERRED])] = oneOf([
      0,
      1,
      4_096,
      5_000,
      -1,
      2 ** 31 - 1,
    ])),
  () => void addon['flush']!(),
  () => void (ctl = new Int32Array(stolen(ctl))),
  () => void (ops = new Int32Array(stolen(ops))),
  () => void (events = new Int32Array(stolen(events))),
  () => void (results = new Int32Array(stolen(results))),
  () => void (arena = new Uint8Array(stolen(arena))),
  () => {
    stolen(slab);
    slab = new Uint8Array(addon['slab']!() as ArrayBuffer);
  },
  () => void addon['wake']!(),
];

/** Any function with anything; those of a slot that is in use, or of one that is not. */
function anything(): void {
  const name = oneOf(names);
  if (byDescriptor.has(name) || (!isMainThread && giving.has(name))) return;
  const known = random(2) === 0 ? oneOf(live) : undefined;
  const result = addon[name]!(
    known?.slot ?? oneOf(odd),
    known?.gen ?? oneOf(odd),
    oneOf(odd),
    oneOf(odd),
    oneOf(odd),
    oneOf(odd),
    oneOf(odd),
  );
  if (giving.has(name) && typeof result === 'number' && result > 2) closeSync(result);
  else if (name === 'dial') add(result, 'channel');
}

function step(): void {
  if (random(2) === 0) oneOf(moves)();
  else anything();
  if (live.length > 200) for (const known of [...live]) close(known);
  if (random(400) === 0) (globalThis as { gc?: () => void }).gc?.();
}

function turn(): void {
  ctl[CTL_RESULTS] = 0;
  if (random(2) === 0) ctl[CTL_DEFERRED] = 0;
  if (depth++ === 0) for (let i = random(20); i > 0; i--) step();
  depth--;
  if (random(100) === 0) throw new Error('a turn that throws');
}

process.on('uncaughtException', (error: Error) => {
  if (error.message !== 'a turn that throws') throw error;
});
parentPort?.postMessage('up');
addon['ref']!(1);
for (let i = 0; i < steps; i++) {
  step();
  if (random(4) === 0) await new Promise((resolve) => setImmediate(resolve));
}
for (const known of [...live]) close(known);
addon['ref']!(0);
console.log('the end');
process.exit(0);

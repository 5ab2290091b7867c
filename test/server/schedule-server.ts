import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { link } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { ServerChanges, ServerOptions } from '../../src/server/options.ts';
import type { PermitLimits, PermitStore } from '../../src/server/permits.ts';
import { LocalPermits } from '../../src/server/permits.ts';
import type { RefusedWith } from '../../src/server/refusal.ts';
import type { WhenFull } from '../../src/server/when-full.ts';
import type { Server } from '../../src/server/server.ts';
import type { Clock } from '../../src/sync/clock.ts';
import { seededRandom } from '../../src/sync/random.ts';
import type { Random } from '../../src/sync/random.ts';

/** Stands for every goodbye, so that it can be told from what was echoed, wherever it comes. */
export const BELL = '\u0007';

export const pick = <T>(random: Random, ...choices: readonly T[]): T => choices[random.int(choices.length)]!;
export const some = <T>(random: Random, chance: number, value: T): T | undefined =>
  random.next() < chance ? value : undefined;

/** Milliseconds in the schedule's own time. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** What a handler throws on purpose. */
export class Thrown extends Error {}

/** Permits whose store is elsewhere: who asks for a client's waits for the answer. */
export class LatePermits implements PermitStore {
  readonly local: LocalPermits;
  readonly #clock: Clock;
  readonly #delay: number;

  constructor(limits: PermitLimits, clock: Clock, delay: number) {
    this.local = new LocalPermits(limits, clock);
    this.#clock = clock;
    this.#delay = delay;
  }

  get used(): number {
    return this.local.used;
  }
  get limit(): number {
    return this.local.limit;
  }
  get perClient(): number {
    return this.local.perClient;
  }
  take(): boolean {
    return this.local.take();
  }
  give(): void {
    this.local.give();
  }
  wait(wake: () => void): () => void {
    return this.local.wait(wake);
  }
  takeFor(client: string): boolean | Promise<boolean> {
    if (this.#delay === 0) return this.local.takeFor(client);
    return sleep(this.#clock, this.#delay).then(() => this.local.takeFor(client));
  }
  giveFor(client: string): void {
    this.local.giveFor(client);
  }
  resize(limits: PermitLimits): void {
    this.local.resize(limits);
  }
}

/** Who is told what handlers do. */
export interface Watcher {
  readonly clock: Clock;
  began(id: number): void;
  closed(id: number): void;
  told(id: number): void;
  /** A handler ends its connection before its client does. */
  leaves(connection: Connection): void;
  /** A handler has given its connection away, and looks after it itself from then on. */
  gave(connection: Connection, served: Promise<void>): void;
}

/** What one connection's handler does besides echoing, each at most once, after so many messages. */
interface Mood {
  readonly throwAt: number;
  readonly detachAt: number;
  readonly abortAt: number;
  readonly closeAt: number;
  readonly slow: number;
  readonly busy: boolean;
  readonly stubborn: boolean;
  readonly says: boolean;
}

function moodOf(random: Random): Mood {
  const at = (chance: number): number => (random.next() < chance ? 1 + random.int(4) : -1);
  return {
    throwAt: at(0.06),
    detachAt: at(0.16),
    abortAt: at(0.04),
    closeAt: at(0.06),
    slow: random.next() < 0.15 ? random.int(300) : 0,
    busy: random.next() < 0.15,
    stubborn: random.next() < 0.08,
    says: random.next() < 0.5,
  };
}

/** A handler that echoes lines, in one of five shapes and in any mood. What a connection's does hangs on the seed and its number alone. */
export function handlerOf(random: Random, watcher: Watcher): { shape: string; handler: Handler } {
  const shape = pick(random, 'chunks', 'lines', 'frames', 'callbacks', 'framed');
  const seed = random.int(2 ** 32);
  const moodFor = (id: number): Mood => moodOf(seededRandom(seed + id));
  const give = (server: Server, conn: Connection): Promise<void> => {
    server.detach(conn);
    const served = echo(conn);
    watcher.gave(conn, served);
    return served;
  };

  if (shape === 'callbacks' || shape === 'framed') {
    const seats = new Map<Connection, { id: number; server: Server; mood: Mood; count: number }>();
    /** The reply to a message, or what is done instead. */
    const reply = (conn: Connection, message: Uint8Array | string): void => {
      const seat = seats.get(conn);
      if (seat === undefined) throw new Error('a callback for a connection that was not opened');
      const { mood, server, id } = seat;
      seat.count += 1;
      if (mood.slow > 0) {
        conn.busy = true;
        void sleep(watcher.clock, mood.slow).then(() => {
          conn.busy = false;
        });
      }
      void conn.write(message);
      // After the reply: it may be kept.
      if (seat.count === mood.throwAt) throw new Thrown('on purpose');
      if (seat.count === mood.detachAt) {
        seats.delete(conn);
        watcher.closed(id);
        void give(server, conn);
      } else if (seat.count === mood.abortAt) conn.abort();
      else if (seat.count === mood.closeAt) {
        watcher.leaves(conn);
        void conn.close();
      }
    };
    const callbacks = {
      open(conn: Connection, { id, server }: { id: number; server: Server }): void {
        watcher.began(id);
        seats.set(conn, { id, server, mood: moodFor(id), count: 0 });
        if (moodFor(id).stubborn) conn.busy = true;
      },
      draining(conn: Connection): void {
        const seat = seats.get(conn);
        if (seat === undefined) throw new Error('told of the drain without being open');
        watcher.told(seat.id);
        if (seat.mood.says) void conn.write(BELL);
      },
      close(conn: Connection): void {
        const seat = seats.get(conn);
        if (seat === undefined) throw new Error('closed without being open');
        seats.delete(conn);
        watcher.closed(seat.id);
      },
    };
    return {
      shape,
      handler:
        shape === 'callbacks'
          ? { ...callbacks, data: (conn, bytes) => reply(conn, bytes) }
          : (defineHandler(lines(), {
              ...callbacks,
              frame: (conn, line) => reply(conn, `${line}\n`),
            }) as Handler),
    };
  }

  return {
    shape,
    handler: async (conn, { id, server }) => {
      watcher.began(id);
      const mood = moodFor(id);
      conn.draining.addEventListener('abort', () => {
        watcher.told(id);
        if (mood.says && conn.closeReason === null) void conn.write(BELL);
      });
      conn.busy = mood.busy;
      let own = true;
      try {
        let count = 0;
        for await (const message of messagesOf(shape, conn)) {
          count += 1;
          if (count === mood.throwAt) throw new Thrown('on purpose');
          if (count === mood.abortAt) conn.abort();
          if (mood.slow > 0) await sleep(watcher.clock, mood.slow);
          await conn.write(message);
          if (count === mood.closeAt) {
            watcher.leaves(conn);
            break;
          }
          if (count === mood.detachAt && !link(conn).closing) {
            own = false;
            watcher.closed(id);
            return await give(server, conn);
          }
        }
        if (mood.stubborn) await new Promise<void>(() => {});
      } finally {
        if (own) watcher.closed(id);
      }
    },
  };
}

async function* messagesOf(shape: string, conn: Connection): AsyncGenerator<Uint8Array | string, void, undefined> {
  if (shape === 'chunks') yield* conn;
  else if (shape === 'frames') for await (const line of conn.frames(lines())) yield `${line}\n`;
  else for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) yield `${line}\n`;
}

/** Goes on for a connection that was given away, until its client leaves. */
async function echo(conn: Connection): Promise<void> {
  try {
    for await (const bytes of conn) await conn.write(bytes);
  } catch {
    // Its client's doing, or the network's.
  }
  await conn.close();
}

/** What a server is made with, and changed to. */
export function limitsOf(random: Random): ServerChanges {
  const time = (): number | undefined => some(random, 0.12, 20 + random.int(4_000));
  return {
    maxConnections: some(random, 0.5, 1 + random.int(4)),
    maxPerClient: some(random, 0.25, 1 + random.int(3)),
    whenFull: some(
      random,
      0.6,
      pick<WhenFull>(random, 'wait', 'refuse', { retries: 2, every: 50 + random.int(400), first: 10 }),
    ),
    refuseWith: some(
      random,
      0.5,
      // oxlint-disable-next-line unicorn/no-thenable -- it is no promise, and never awaited
      pick<RefusedWith>(random, 'close', 'reset', { send: BELL }, { send: BELL, then: 'reset' }),
    ),
    rate: some(random, 0.08, { connections: 2, per: 1_000 }),
    deadlines: { firstByte: time(), idle: time(), read: time(), write: time(), life: time() },
    ...timesOf(random),
  };
}

/** Times of an end. */
export function timesOf(random: Random): { lead?: number; grace: number; spread?: number } {
  return {
    ...(random.next() < 0.4 ? { lead: random.int(800) } : {}),
    grace: pick(random, 0, 50, 500, 3_000),
    ...(random.next() < 0.4 ? { spread: random.int(2_000) } : {}),
  };
}

/** The rest that is chosen for a whole schedule. */
export function optionsOf(random: Random, proxied: boolean): ServerOptions {
  const places = 1 + random.int(2);
  return {
    ...(limitsOf(random) as ServerOptions),
    listen: Array.from({ length: places }, (_, i) => ({
      endpoint: `tcp://10.0.0.1:${4_000 + i}`,
      maxConnections: some(random, 0.2, 1 + random.int(3)),
    })),
    backlog: pick(random, 1, 3, 64),
    highWaterMark: pick(random, 1, 1_000, 65_536),
    readAhead: pick(random, 1, 1_000, 65_536),
    linger: pick(random, 0, 100, 5_000),
    ambient: random.next() < 0.7,
    ...(proxied
      ? { proxy: { from: ['10.0.0.0/8', '192.0.2.0/24'], mode: pick(random, 'require', 'optional'), timeout: 1_000 } }
      : {}),
  };
}

import type { Connection } from '../../src/net/connection.ts';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Clock } from '../../src/sync/clock.ts';
import type { Random } from '../../src/sync/random.ts';
import { BELL, pick, sleep } from './schedule-server.ts';

/** What a peer, the network or this side's own end may do to an operation. Anything else is a bug. */
const ALLOWED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EMFILE',
  'EPIPE',
  'ERR_PORTSIDE_CLOSED',
  'ERR_PORTSIDE_TIMEOUT',
  'ETIMEDOUT',
]);

export function isAllowed(error: unknown): boolean {
  return isPortsideError(error) && ALLOWED.has(error.code);
}

export function mayBe(error: unknown): void {
  if (!isAllowed(error)) throw error;
}

/** How a client behaves. `honest` ones send everything, read everything and leave in order. */
export type Manner = 'honest' | 'halves' | 'stalls' | 'resets' | 'floods' | 'leaves';

export function mannerOf(random: Random): Manner {
  return pick(random, 'honest', 'honest', 'honest', 'halves', 'stalls', 'resets', 'floods', 'leaves');
}

/** Milliseconds after which every client goes away, whatever happens to it. */
const PATIENCE = 12_000;

/** One client: what it said, what it heard, and how that ended. */
export class Client {
  readonly manner: Manner;
  readonly connection: Connection;
  /** Null while it is there. `ended`: the server's orderly end came. */
  outcome: 'ended' | 'failed' | 'left' | null = null;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #sent: Buffer[] = [];
  readonly #got: Uint8Array[] = [];
  #left = false;

  constructor(connection: Connection, manner: Manner, clock: Clock, random: Random) {
    this.connection = connection;
    this.manner = manner;
    this.#clock = clock;
    this.#random = random;
  }

  get question(): string {
    return Buffer.concat(this.#sent).toString('latin1');
  }

  /** All bytes that came. */
  get heard(): number {
    return this.#got.reduce((sum, { length }) => sum + length, 0);
  }

  /** What was echoed, without goodbyes. */
  get answer(): string {
    return Buffer.concat(this.#got).toString('latin1').replaceAll(BELL, '');
  }

  async talk(header: string): Promise<void> {
    const { connection } = this;
    const timer = this.#clock.after(PATIENCE, () => {
      this.#left = true;
      connection.abort();
    });
    const writing = this.#write(header).catch(mayBe);
    await this.#read();
    if (this.#left || this.manner === 'resets') connection.abort();
    else await connection.close();
    await writing;
    await connection.closed;
    timer.cancel();
  }

  async #write(header: string): Promise<void> {
    const { connection } = this;
    const random = this.#random.fork();
    if (header !== '') void connection.write(header);
    const floods = this.manner === 'floods';
    const count = this.manner === 'stalls' ? random.int(2) : 1 + random.int(floods ? 30 : 6);
    for (let i = 0; i < count; i += 1) {
      const line = Buffer.from(`${i} ${'x'.repeat(random.int(floods ? 2_000 : 40))}\n`);
      this.#sent.push(line);
      const written = connection.write(line);
      if (!floods) await written;
      if (random.next() < 0.4) await sleep(this.#clock, random.int(400));
      if (this.manner === 'resets' && random.next() < 0.3) {
        this.#left = true;
        connection.abort();
        return;
      }
    }
    if (this.manner === 'stalls' || this.manner === 'leaves') {
      if (random.next() < 0.5) {
        // The beginning of a line, and no more of it.
        this.#sent.push(Buffer.from('part'));
        void connection.write('part');
      }
      await sleep(this.#clock, random.int(4_000));
      if (this.manner === 'stalls') return;
      this.#left = true;
      void connection.close({ linger: 100 });
      return;
    }
    await connection.closeWrite();
  }

  async #read(): Promise<void> {
    const random = this.#random.fork();
    try {
      if (this.manner === 'floods') await sleep(this.#clock, random.int(1_500));
      for (;;) {
        const bytes = await this.connection.read();
        if (bytes === null) break;
        this.#got.push(bytes);
        if (random.next() < 0.1) await sleep(this.#clock, random.int(50));
      }
      this.outcome = 'ended';
    } catch (error) {
      mayBe(error);
      this.outcome = this.#left ? 'left' : 'failed';
    }
  }
}

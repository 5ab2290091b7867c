import assert from 'node:assert/strict';
import { tcpChannel, tcpEnd } from '../../src/dataspace/drivers/tcp-channel.ts';
import type { TcpLocal } from '../../src/dataspace/drivers/tcp-channel.ts';
import type { TcpListener, TcpPeer } from '../../src/dataspace/drivers/tcp-places.ts';
import type { EndpointId } from '../../src/dataspace/endpoint.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Clock } from '../../src/sync/clock.ts';
import type { Random } from '../../src/sync/random.ts';

/** Bytes of which each says where it stands, as far as one byte can. */
export function stream(id: number, from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_ignored, i) => ((from + i) * 31 + id * 7 + ((from + i) >> 8)) & 255);
}

/** What one side sent and the other got of it. */
export class Flow {
  readonly id: number;
  sent = 0;
  got = 0;
  /** The sender has ended it in order. */
  ended = false;
  /** The end was told to the receiver. */
  told = false;

  constructor(id: number) {
    this.id = id;
  }

  next(length: number): Uint8Array {
    const bytes = stream(this.id, this.sent, length);
    this.sent += length;
    return bytes;
  }

  /** Nothing may be lost, doubled or moved. */
  take(bytes: Uint8Array): void {
    assert.equal(this.told, false, `flow ${this.id}: bytes came after the end`);
    assert.deepEqual(
      Buffer.from(bytes),
      Buffer.from(stream(this.id, this.got, bytes.length)),
      `flow ${this.id}: what came at ${this.got} is not what was sent`,
    );
    this.got += bytes.length;
    assert.ok(this.got <= this.sent, `flow ${this.id}: more came than was sent`);
  }

  end(): void {
    assert.equal(this.told, false, `flow ${this.id}: the end was told twice`);
    this.told = true;
  }
}

/** A side outside of the space. */
export class Outsider {
  readonly connection: Connection;
  /** Into the space, and out of it where it is known who sends. */
  readonly into: Flow;
  readonly out: Flow | null;
  failed: string | null = null;
  #reads = false;

  constructor(connection: Connection, into: Flow, out: Flow | null) {
    this.connection = connection;
    this.into = into;
    this.out = out;
  }

  write(length: number): void {
    if (this.into.ended || this.connection.closeReason !== null) return;
    this.connection.write(this.into.next(length)).catch(() => {});
  }

  end(): void {
    if (this.into.ended) return;
    this.into.ended = true;
    this.connection.closeWrite().catch(() => {});
  }

  read(): void {
    if (this.#reads) return;
    this.#reads = true;
    void this.#readAll();
  }

  async #readAll(): Promise<void> {
    try {
      for await (const bytes of this.connection) this.out?.take(bytes);
      this.out?.end();
    } catch (error) {
      this.failed = (error as { code?: string }).code ?? String(error);
      if ((error as Error).name === 'AssertionError') throw error;
    }
  }
}

/** An actor that does what it is told, while it is there. */
export class Player {
  readonly self: Self;
  readonly #source: OutsideSource;
  alive = true;

  constructor(self: Self) {
    this.self = self;
    this.#source = self.outside();
    self.onEnd(() => {
      this.alive = false;
    });
  }

  /** In a turn, later. */
  tell(fn: (self: Self) => void): void {
    this.#source.enter(() => fn(this.self));
  }

  quit(): void {
    this.tell((self) => self.quit());
  }

  /** Nothing will be told any more. */
  release(): void {
    this.#source.release();
  }
}

/** An actor on one connection. */
export class Speaker extends Player {
  readonly local: TcpLocal;
  readonly remote: TcpPeer;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Flows by who is on the other side; null where that is not known. */
  into: Flow | null;
  out: Flow | null;
  /** Who is seen by each endpoint. */
  readonly #seen = new Map<EndpointId, string>();
  readonly #sees = { in: 0, out: 0 };
  #ended = false;
  /** Whether it has listened all the time since it came. */
  joined: 'both' | 'in' | 'out' | null = null;

  constructor(
    self: Self,
    sides: {
      readonly local: TcpLocal;
      readonly remote: TcpPeer;
      readonly into: Flow | null;
      readonly out: Flow | null;
    },
    clock: Clock,
    random: Random,
  ) {
    super(self);
    this.local = sides.local;
    this.remote = sides.remote;
    this.into = sides.into;
    this.out = sides.out;
    this.#clock = clock;
    this.#random = random;
  }

  /** Takes part from now on. */
  join(which: 'both' | 'in' | 'out'): void {
    if (this.joined !== null) return;
    this.joined = which;
    this.tell((self) => {
      const local = this.local as TcpListener;
      if (which !== 'out')
        self.subscribe(tcpChannel(this.remote, local, _), {
          onPresence: ({ peer }) => this.#come(peer, 'in'),
          onAbsence: ({ peer }) => this.#go(peer),
          onMessage: ({ topic: { body } }) => this.#hear(body),
        });
      if (which !== 'in')
        self.publish(tcpChannel(local, this.remote, _), {
          onPresence: ({ peer }) => this.#come(peer, 'out'),
          onAbsence: ({ peer }) => this.#go(peer),
        });
    });
  }

  send(length: number): void {
    this.tell((self) => {
      if (this.#ended || this.#sees.out === 0) return;
      const bytes = this.out === null ? new Uint8Array(length) : this.out.next(length);
      self.send(tcpChannel(this.local as TcpListener, this.remote, bytes));
    });
  }

  end(): void {
    this.tell((self) => {
      if (this.#ended || this.#sees.out === 0) return;
      this.#ended = true;
      if (this.out !== null) this.out.ended = true;
      self.send(tcpChannel(this.local as TcpListener, this.remote, tcpEnd()));
    });
  }

  override quit(): void {
    this.tell((self) => {
      if (this.#sees.out > 0 && this.out !== null) this.out.ended = true;
      self.quit();
    });
  }

  #come(peer: EndpointId, which: 'in' | 'out'): void {
    assert.ok(!this.#seen.has(peer), 'the same came twice');
    this.#seen.set(peer, which);
    this.#sees[which] += 1;
    assert.equal(this.#sees[which], 1, 'two connections at once');
  }

  #go(peer: EndpointId): void {
    const which = this.#seen.get(peer) as 'in' | 'out' | undefined;
    assert.ok(which !== undefined, 'one went that had not come, or twice');
    this.#seen.delete(peer);
    this.#sees[which] -= 1;
  }

  #hear(body: unknown): unknown {
    if (tcpEnd.is(body)) this.into?.end();
    else this.into?.take(body as Uint8Array);
    // Some take their time.
    if (this.#random.int(6) > 0) return undefined;
    return new Promise<void>((resolve) => this.#clock.after(this.#random.int(30), resolve));
  }
}

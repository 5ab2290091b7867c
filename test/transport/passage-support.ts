import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Acceptor, Channel } from '../../src/transport/contract.ts';
import type { Passage, Passages } from '../../src/transport/passage.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { watchLeaks } from '../support/leaks.ts';
import { dial, loopback, next, plainBind } from './native-support.ts';
import type { EchoData } from './workers/echo.ts';
import type { TakerNews, TakerOrder } from './workers/taker.ts';

/** Why tests of the native core are skipped, or false. */
export const skip: string | false = 'addon' in loadNative() ? false : 'the native core is not built';

export function passages(): Passages {
  return nativeTransport().passages ?? assert.fail('no passages');
}

/** How many descriptors of any kind this process has. */
export function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** What all epoll instances of this process watch. */
export function watched(): number {
  let count = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) !== 'anon_inode:[eventpoll]') continue;
      count += readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').split('\ntfd:').length - 1;
    } catch {
      // The descriptor of the listing itself is closed by now.
    }
  }
  return count;
}

let warm: Promise<unknown> | undefined;

/** A test of what the native core promises of its mailboxes, after which no descriptor is left. */
export function promise(name: string, body: () => Promise<void>): void {
  test(name, { skip, timeout: 90_000 }, async () => {
    // The first thread opens things for good.
    warm ??= idle();
    await warm;
    const before = descriptors();
    const noLeaks = watchLeaks();
    await body();
    await noLeaks();
    for (let turn = 0; descriptors() > before; turn++) {
      assert.ok(turn < 500, `${descriptors() - before} descriptors are left`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
}

async function idle(): Promise<void> {
  const { passage, worker } = await echoing(1, 1);
  await worker.terminate();
  passage.end();
}

/** A connection: the accepted side, which nobody has read, and the client's. */
export async function pair(acceptor?: Acceptor): Promise<{ readonly client: Channel; readonly server: Channel }> {
  const transport = nativeTransport();
  const from = acceptor ?? (await transport.listen(loopback, plainBind));
  const [client, server] = await Promise.all([dial(transport, from.address), next(from)]);
  if (acceptor === undefined) from.close();
  return { client, server };
}

/** A worker that echoes what comes through the passage. */
export async function echoing(
  capacity: number,
  burst: number,
): Promise<{ readonly passage: Passage; readonly worker: Worker }> {
  const passage = passages().passage(capacity);
  const workerData: EchoData = { ticket: passage.ticket, burst };
  const worker = new Worker(new URL('./workers/echo.ts', import.meta.url), {
    workerData,
    transferList: [...passage.transfer],
  });
  await once(worker, 'message');
  return { passage, worker };
}

/** A worker that takes when it is told to, and tells what it hears. */
export class Taker {
  readonly passage: Passage;
  readonly #worker: Worker;
  readonly #news: TakerNews[] = [];
  #heard: (() => void) | null = null;

  private constructor(passage: Passage, worker: Worker) {
    this.passage = passage;
    this.#worker = worker;
    worker.on('message', (news: TakerNews) => {
      this.#news.push(news);
      this.#heard?.();
    });
  }

  static async start(capacity: number): Promise<Taker> {
    const passage = passages().passage(capacity);
    const worker = new Worker(new URL('./workers/taker.ts', import.meta.url), {
      workerData: passage.ticket,
      transferList: [...passage.transfer],
    });
    const taker = new Taker(passage, worker);
    await taker.news('up');
    return taker;
  }

  tell(order: TakerOrder): void {
    this.#worker.postMessage(order, []);
  }

  /** The next news of that kind; others are kept. */
  async news<K extends TakerNews['kind']>(kind: K): Promise<Extract<TakerNews, { kind: K }>> {
    for (;;) {
      const at = this.#news.findIndex((news) => news.kind === kind);
      if (at >= 0) return this.#news.splice(at, 1)[0] as Extract<TakerNews, { kind: K }>;
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  /** Has it take one. */
  async take(): Promise<Extract<TakerNews, { kind: 'taken' }>> {
    this.tell('take');
    return this.news('taken');
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Says something, ends its output, and gives what comes until the close. */
export function converse(client: Channel, text: string): Promise<{ readonly text: string; readonly why: string }> {
  return new Promise((resolve) => {
    let got = '';
    client.sink = {
      data: (bytes) => void (got += Buffer.from(bytes).toString('latin1')),
      end() {},
      writable() {},
      close: ({ kind }) => resolve({ text: got, why: kind }),
    };
    client.flow(true);
    client.send(Buffer.from(text));
    client.shutdown();
  });
}

/** Reads until `enough`, and turns flow off there. */
export function read(channel: Channel, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    channel.sink = {
      data(bytes) {
        text += Buffer.from(bytes).toString('latin1');
        if (!enough(text)) return;
        channel.flow(false);
        resolve(text);
      },
      end: () => assert.fail('ended'),
      writable() {},
      close: () => assert.fail('closed'),
    };
    channel.flow(true);
  });
}

/** Some turns of the loop: what was sent on the loopback is there then. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A test of an error for its code. */
export function coded(expected: string): (error: unknown) => boolean {
  return (error) => isPortsideError(error) && error.code === expected;
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Switchboard } from '../../src/parallel/switchboard.ts';
import { startNc } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import type { ChatData, ChatOrder, ChatTold } from './workers/chat-worker.ts';

const file = new URL('./workers/chat-worker.ts', import.meta.url);

/** One worker that serves the chat on a port of its own, with a client that it has itself. */
class ChatWorker {
  readonly index: number;
  readonly worker: Worker;
  readonly port: Promise<number>;
  /** What its own client has read. */
  text = '';
  /** Who has arrived on other workers, as the chat here knows. */
  readonly arrived = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(switchboard: Switchboard, index: number, gate: SharedArrayBuffer) {
    this.index = index;
    const { ticket, transfer } = switchboard.join(index);
    const workerData: ChatData = { ticket, gate };
    this.worker = new Worker(file, { workerData, transferList: transfer, execArgv: ['--no-warnings'] });
    this.port = new Promise((resolve, reject) => {
      this.worker.on('error', reject);
      this.worker.on('message', (told: ChatTold) => {
        if (told.kind === 'port') resolve(told.port);
        else if (told.kind === 'read') this.text = told.text;
        else this.#hear(told.news as { kind: string; text: string });
        for (const wake of this.#waiting) wake();
        this.#waiting.clear();
      });
    });
  }

  do(order: ChatOrder): void {
    this.worker.postMessage(order);
  }

  /** Until its client has read something. */
  until(what: RegExp): Promise<void> {
    return this.#until(() => what.test(this.text));
  }

  /** Until it knows that somebody is here. */
  untilKnown(name: string): Promise<void> {
    return this.#until(() => this.arrived.has(name));
  }

  #hear({ kind, text }: { readonly kind: string; readonly text: string }): void {
    if (kind === 'arrived') this.arrived.add(text);
    if (kind === 'departed') this.arrived.delete(text);
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }
}

/** The chat on some workers, which know of one another, and clients of them. */
class Chat {
  readonly switchboard = new Switchboard();
  readonly workers: ChatWorker[] = [];
  readonly gate = new SharedArrayBuffer(64);
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    t.after(async () => {
      for (const { worker } of this.workers) await worker.terminate();
      this.switchboard.close();
    });
  }

  async start(...indexes: readonly number[]): Promise<ChatWorker[]> {
    const started = indexes.map((index) => new ChatWorker(this.switchboard, index, this.gate));
    this.workers.push(...started);
    await Promise.all(started.map(({ port }) => port));
    return started;
  }

  /** A client that has asked to enter under a name, and has an answer; when it is in, all workers know. */
  async enter(worker: ChatWorker, name: string): Promise<Program> {
    const client = startNc(this.#t, await worker.port, '-N');
    await client.until(/^What is your name\?\n/u);
    client.write(`${name}\n`);
    const [, answer = ''] = await client.until(/\?\n(.*)\n/u);
    if (answer.includes('taken')) return client;
    const others = this.workers.filter((each) => each !== worker);
    await Promise.all(others.map((each) => each.untilKnown(name)));
    return client;
  }

  async end(worker: ChatWorker): Promise<void> {
    await worker.worker.terminate();
    this.workers.splice(this.workers.indexOf(worker), 1);
    this.switchboard.leave(worker.index);
  }
}

describe('examples/chat.ts over many workers', () => {
  test('tells names, arrivals, lines and departures to all, wherever they are', async (t) => {
    const room = new Chat(t);
    const [one, two, three] = await room.start(0, 1, 2);
    assert.ok(one && two && three);
    const ada = await room.enter(one, 'Ada');
    const eve = await room.enter(two, 'Eve');
    await ada.until(/^\* Eve arrived\n/mu);
    const bob = await room.enter(three, 'Bob');
    for (const each of [ada, eve]) await each.until(/^\* Bob arrived\n/mu);
    ada.write('hello\n');
    for (const each of [ada, eve, bob]) await each.until(/^Ada: hello\n/mu);
    bob.write('hello, Ada\n');
    for (const each of [ada, eve, bob]) await each.until(/^Bob: hello, Ada\n/mu);
    bob.end();
    for (const each of [ada, eve]) await each.until(/^\* Bob departed\n/mu);
    const rest = 'Ada: hello\nBob: hello, Ada\n* Bob departed\n';
    assert.equal(ada.out, `What is your name?\nYou are the first one here.\n* Eve arrived\n* Bob arrived\n${rest}`);
    assert.equal(eve.out, `What is your name?\nHere are: Ada\n* Bob arrived\n${rest}`);
    assert.equal(bob.out, 'What is your name?\nHere are: Ada, Eve\nAda: hello\nBob: hello, Ada\n');
  });

  test('a name is taken on all of them, and free on all when its owner has left', async (t) => {
    const room = new Chat(t);
    const [one, two] = await room.start(0, 1);
    assert.ok(one && two);
    const ada = await room.enter(one, 'Ada');
    const eve = await room.enter(two, 'Eve');
    const other = await room.enter(two, 'Ada');
    assert.match(other.out, /That name is taken\. Another\?\n$/u);
    ada.end();
    await eve.until(/\* Ada departed\n/u);
    other.write('Ada\n');
    await other.until(/Here are: Eve\n/u);
  });

  test('a name that two give away in one moment is kept on the lower one, and asked for again on the other', async (t) => {
    const room = new Chat(t);
    const [one, two, three] = await room.start(0, 1, 2);
    assert.ok(one && two && three);
    const ear = await room.enter(three, 'Ear');
    const flags = new Int32Array(room.gate);
    for (const each of [two, one]) each.do({ kind: 'enter', name: 'Ada' });
    // While this thread stands still no worker hears of another, so both give it away.
    for (const { index } of [one, two]) assert.notEqual(Atomics.wait(flags, index, 0, 20_000), 'timed-out');
    await two.until(/That name is taken\. Another\?\n$/u);
    assert.equal(two.text, 'What is your name?\nHere are: Ear\nThat name is taken. Another?\n');
    two.do({ kind: 'say', text: 'Eve\n' });
    await two.until(/^Here are: Ear, Ada\n/mu);
    await one.until(/^\* Eve arrived\n/mu);
    two.do({ kind: 'say', text: 'I am Eve now\n' });
    one.do({ kind: 'say', text: 'and I am Ada\n' });
    for (const line of [/^Eve: I am Eve now\n/mu, /^Ada: and I am Ada\n/mu]) {
      await Promise.all([one.until(line), two.until(line), ear.until(line)]);
    }
    assert.equal(ear.out.match(/^\* Ada arrived$/gmu)?.length, 1);
    assert.doesNotMatch(ear.out + one.text + two.text, /departed/u);
    assert.doesNotMatch(one.text, /taken/u);
    one.do({ kind: 'hang-up' });
    await ear.until(/^\* Ada departed\n/mu);
    const again = await room.enter(three, 'Ada');
    assert.match(again.out, /Here are: .*Eve/u);
  });

  test('who was on a worker that dies has departed, and its follower knows who is here', async (t) => {
    const room = new Chat(t);
    const [one, two] = await room.start(0, 1);
    assert.ok(one && two);
    const ada = await room.enter(one, 'Ada');
    await room.enter(two, 'Eve');
    await ada.until(/\* Eve arrived\n/u);
    await room.end(two);
    await ada.until(/\* Eve departed\n/u);
    const [again] = await room.start(1);
    assert.ok(again);
    await again.untilKnown('Ada');
    const other = await room.enter(again, 'Ada');
    assert.match(other.out, /That name is taken/u);
    const bob = await room.enter(again, 'Eve');
    assert.match(bob.out, /Here are: Ada\n$/u);
    await ada.until(/\* Eve departed\n\* Eve arrived\n$/u);
  });
});

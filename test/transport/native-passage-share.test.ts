import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { describe } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Acceptor } from '../../src/transport/contract.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { dial, loopback, next, plainBind } from './native-support.ts';
import { converse, promise, watched } from './passage-support.ts';
import type { SharerData, SharerOrder } from './workers/sharer.ts';

function shareOf(acceptor: Acceptor): number {
  assert.ok(acceptor.share !== undefined);
  return acceptor.share();
}

class Sharer {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(acceptor: Acceptor, name: string): Promise<Sharer> {
    const workerData: SharerData = { fd: shareOf(acceptor), name };
    const worker = new Worker(new URL('workers/sharer.ts', import.meta.url), { workerData });
    await once(worker, 'message');
    return new Sharer(worker);
  }

  async tell(order: Exclude<SharerOrder, 'exit'>): Promise<void> {
    const done = once(this.#worker, 'message');
    this.#worker.postMessage(order, []);
    await done;
  }

  async end(how: 'exit' | 'terminate'): Promise<void> {
    const gone = once(this.#worker, 'exit');
    if (how === 'exit') this.#worker.postMessage(how, []);
    else void this.#worker.terminate();
    await gone;
  }
}

describe('a listening socket with several descriptors', () => {
  promise('closing one leaves the others, those who wait, and epoll alone', async () => {
    const transport = nativeTransport();
    const first = await transport.listen(loopback, plainBind);
    const second = await transport.listen({ kind: 'fd', fd: shareOf(first) }, plainBind);
    const third = await transport.listen({ kind: 'fd', fd: shareOf(second) }, plainBind);
    assert.deepEqual([second.address, third.address], [first.address, first.address]);
    const before = watched();
    for (const acceptor of [first, second, third]) {
      acceptor.watcher = { ready: () => assert.fail('nobody came'), trouble: (error) => assert.fail(error) };
      acceptor.want(true);
    }
    assert.equal(watched(), before + 3);
    first.close();
    assert.equal(watched(), before + 2, 'the socket is open still, and epoll would go on to tell of it');
    second.want(false);
    third.want(false);
    const clients = await Promise.all([dial(transport, first.address), dial(transport, first.address)]);
    assert.deepEqual([second.pending(), third.pending(), first.pending()], [true, true, false]);
    const one = await next(second);
    second.close();
    const two = await next(third);
    third.close();
    assert.equal(watched(), before);
    await assert.rejects(dial(transport, first.address), { code: 'ECONNREFUSED' });
    const answers = clients.map((client) => converse(client, 'hello'));
    for (const channel of [one, two]) {
      channel.sink = {
        data: (bytes) => void channel.send(bytes),
        end: () => channel.shutdown(),
        writable() {},
        close() {},
      };
      channel.flow(true);
    }
    assert.deepEqual(await Promise.all(answers), Array(2).fill({ text: 'hello', why: 'ended' }));
    assert.throws(() => shareOf(first), { code: 'EBADF' });
  });

  promise('the descriptor is its asker’s, also when nobody listens on it', async () => {
    const transport = nativeTransport();
    const first = await transport.listen(loopback, plainBind);
    const fd = shareOf(first);
    first.close();
    // The port is still bound.
    const client = await dial(transport, first.address);
    const again = await transport.listen({ kind: 'fd', fd }, plainBind);
    const channel = await next(again);
    again.close();
    for (const one of [client, channel]) one.destroy('reset');
    const other = await transport.listen(loopback, plainBind);
    const unused = shareOf(other);
    other.close();
    closeSync(unused);
    await assert.rejects(dial(transport, other.address), { code: 'ECONNREFUSED' });
  });

  for (const reusePort of [false, true]) {
    const kind = reusePort ? 'one socket for each thread' : 'one socket for all threads';
    promise(`threads stop, close and end under load, and no client is lost: ${kind}`, async () => {
      const transport = nativeTransport();
      const bind = { backlog: 512, reusePort, reuseAddress: undefined };
      const one = await transport.listen(loopback, bind);
      assert.ok(one.address.family === 'ipv4');
      const two = reusePort ? await transport.listen({ ...loopback, port: one.address.port }, bind) : one;
      const stay = await Sharer.start(one, 'a');
      await stay.tell('want');
      const heard = new Map<string, number>();
      let over = false;
      const client = async (): Promise<void> => {
        while (!over) {
          const { text, why } = await converse(await dial(transport, one.address), 'hello');
          assert.deepEqual([text.slice(1), why], ['hello', 'ended']);
          heard.set(text[0]!, (heard.get(text[0]!) ?? 0) + 1);
        }
      };
      const clients = Array.from({ length: 40 }, client);
      const served = async (name: string): Promise<void> => {
        const before = heard.get(name) ?? 0;
        while ((heard.get(name) ?? 0) < before + 20) await new Promise((resolve) => setImmediate(resolve));
      };
      for (const [round, how] of (['exit', 'terminate', 'exit', 'terminate'] as const).entries()) {
        const name = `${round}`;
        const guest = await Sharer.start(two, name);
        await guest.tell('want');
        await served(name);
        await guest.tell('leave');
        // With a socket of its own, those who come to it wait until it is wanted again.
        if (!reusePort) await served('a');
        await guest.tell('want');
        await served(name);
        // It answers when those whom it took are served.
        await guest.tell('close');
        await guest.end(how);
      }
      const last = await Sharer.start(two, 'z');
      await last.tell('want');
      await served('z');
      over = true;
      await Promise.all(clients);
      for (const acceptor of [one, two]) acceptor.close();
      await stay.end('terminate');
      await last.end('exit');
    });
  }
});

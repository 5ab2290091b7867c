import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PortsideError, systemCode } from '../../src/base/errors.ts';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import { startParallel } from '../../src/parallel/start-parallel.ts';
import { WorkerError } from '../../src/parallel/worker-error.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { refusal } from '../support/refusal.ts';
import {
  ampleBootTime,
  anyWay,
  ask,
  atEnd,
  dial,
  dialPort,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  startOn,
  worker,
} from './support.ts';
import { newMuster } from './workers/rank.ts';
import type { BootPlan } from './workers/boot-plan.ts';

leavesNoThread();

/** A port that nobody has, and that nobody else is given soon. */
async function freePort(): Promise<number> {
  const listener = await listen({ port: 0, host: '127.0.0.1', transport: nodeTransport });
  const { address } = listener;
  await listener.close();
  assert.ok('port' in address);
  return address.port;
}

/** That a port can be bound again, and that nobody listens on it. */
async function assertFree(port: number): Promise<void> {
  const nobody = connect({ host: '127.0.0.1', port }, { transport: nodeTransport, timeout: 5_000 });
  assert.equal(systemCode(await refusal(nobody)), 'ECONNREFUSED');
  const listener = await listen({ port, host: '127.0.0.1', transport: nodeTransport });
  await listener.close();
}

function planned(...plan: BootPlan['plan']): { parallelism: number; workerData: BootPlan } {
  return { parallelism: plan.length, workerData: { plan, muster: newMuster(plan.length) } };
}

/** Why a start fails; afterwards its port is free. */
async function failure(
  module: string | URL,
  options: ParallelOptions,
): Promise<{ readonly error: PortsideError; readonly took: number }> {
  const port = await freePort();
  const began = performance.now();
  const start = startParallel(module, { port, host: '127.0.0.1', ...anyWay.options, parallelism: 2, ...options });
  const error = await refusal(start);
  await assertFree(port);
  return { error, took: performance.now() - began };
}

async function workerError(module: string | URL, options: ParallelOptions = {}): Promise<WorkerError> {
  const { error, took } = await failure(module, options);
  assert.ok(error instanceof WorkerError, String(error));
  assert.equal(error.code, 'ERR_PORTSIDE_WORKER');
  assert.match(error.message, new RegExp(`^worker ${error.worker} `, 'u'));
  assert.ok(took < 10_000, `at once, and not after ${took} ms`);
  return error;
}

function causeOf(error: Error): Error {
  assert.ok(error.cause instanceof Error, String(error.cause));
  return error.cause;
}

onEachWay('a start over many workers', (way) => {
  test('binds first: where the port is taken no worker is started', async () => {
    const taken = await listen({ port: 0, host: '127.0.0.1', transport: nodeTransport });
    atEnd(() => taken.close());
    assert.ok('port' in taken.address);
    const { port } = taken.address;
    const muster = newMuster(2);
    const workerData: BootPlan = { plan: ['throw', 'throw'], muster };
    const start = startParallel(worker('boot-plan'), { port, host: '127.0.0.1', ...way.options, workerData });
    assert.equal((await refusal(start)).code, 'EADDRINUSE');
    assert.equal(Atomics.load(muster, 0), 0, 'no worker has begun');
  });

  test('starts all at once, and accepts when all are ready', async () => {
    // Each of them waits for the others before it is ready.
    const server = await startOn(way, worker('boot-plan'), planned('serve', 'serve', 'serve'));
    assert.equal(server.state, 'running');
    const { workers } = server.status();
    assert.deepEqual(
      workers.map(({ index, state }) => ({ index, state })),
      [0, 1, 2].map((index) => ({ index, state: 'serving' })),
    );
    const client = await dial(server);
    const [threadId] = (await ask(client, 'hello')).split(' ');
    assert.ok(workers.some((one) => one.threadId === Number(threadId)));
  });
});

onEachWay('a start that fails', (way) => {
  test('leaves nothing of what its workers were given', async () => {
    const { error } = await failure(worker('boot-plan'), { ...planned('serve', 'throw'), ...way.options });
    assert.ok(error instanceof WorkerError);
    assert.equal(error.worker, 1);
  });

  test('before a worker could be started leaves nothing', async () => {
    const { error } = await failure(worker('commands'), { execArgv: ['--no-such-option'], ...way.options });
    assert.equal(error.code, 'ERR_PORTSIDE_WORKER');
    assert.equal((error.cause as NodeJS.ErrnoException).code, 'ERR_WORKER_INVALID_EXEC_ARGV');
  });
});

onEachWay(
  'clients that come while workers are booting',
  (way) => {
    test('are served afterwards, and none is lost', async () => {
      const port = await freePort();
      const muster = newMuster(2);
      const server = startOn(way, worker('boot-plan'), {
        listen: `tcp://127.0.0.1:${port}`,
        workerData: { plan: ['serve', 'serve'], muster } satisfies BootPlan,
      });
      const early = [];
      for (let i = 0; i < 20; i += 1) early.push(await knock(port));
      const answers = early.map((client, i) => ask(client, `early ${i}`));
      await server;
      for (const [i, answer] of answers.entries()) assert.match(await answer, new RegExp(` early ${i}$`, 'u'));
      const { accepted } = (await server).status();
      assert.equal(accepted, 20);
    });
  },
  // Where the workers bind for themselves nobody listens before.
  ({ name }) => name !== 'node, kernel',
);

/** A client that comes as soon as the port is bound. */
async function knock(port: number): ReturnType<typeof dialPort> {
  for (;;) {
    try {
      return await dialPort(port);
    } catch (error) {
      if (systemCode(error) !== 'ECONNREFUSED') throw error;
    }
  }
}

describe('a start fails at once, with the index and the error of the worker, and leaves nothing, when one', () => {
  test('throws while it is loaded', async () => {
    const error = await workerError(worker('boot-plan'), planned('serve', 'throw'));
    assert.equal(error.worker, 1);
    const cause = causeOf(error);
    assert.equal(cause.name, 'TypeError');
    assert.equal(cause.message, 'does not want to');
    assert.match(cause.stack ?? '', /boot-plan\.ts/u);
    assert.equal(causeOf(cause).message, 'is tired');
  });

  test('exits', async () => {
    const error = await workerError(worker('boot-plan'), planned('exit', 'hang'));
    assert.equal(error.worker, 0);
    assert.match(error.message, /code 7 while it was starting/u);
  });

  test('dies after it was ready, while others are booting', async () => {
    const error = await workerError(worker('boot-plan'), planned('hang', 'late'));
    assert.equal(error.worker, 1);
    assert.equal(causeOf(error).message, 'has changed its mind');
  });

  test('has a syntax error', async () => {
    const error = await workerError('data:text/javascript,export default (');
    assert.equal(causeOf(error).name, 'SyntaxError');
  });

  test('does not exist', async () => {
    const error = await workerError(worker('there-is-none'));
    assert.equal((causeOf(error) as NodeJS.ErrnoException).code, 'ERR_MODULE_NOT_FOUND');
  });

  test('exports no handler', async () => {
    const none = causeOf(await workerError('data:text/javascript,export const handler = 1'));
    assert.ok(none instanceof PortsideError);
    assert.equal(none.code, 'ERR_PORTSIDE_HANDLER');
    assert.match(none.message, /no default export.*receiveConnections/u);
    const wrong = causeOf(await workerError('data:text/javascript,export default 1'));
    assert.match(wrong.message, /default export that is no handler/u);
  });

  // place-tcp's own test: two places that fail; it waits out its whole time, and tells no reason.
  test('fails, as all others do', async () => {
    const error = await workerError(worker('boot-plan'), { ...planned('throw', 'throw'), bootTimeout: 5_000 });
    assert.equal(causeOf(error).message, 'does not want to');
  });
});

describe('a start whose workers hang', () => {
  test('fails at bootTimeout, and names those that did not get ready', async () => {
    const bootTimeout = await ampleBootTime(3);
    const { error, took } = await failure(worker('boot-plan'), { ...planned('hang', 'serve', 'hang'), bootTimeout });
    assert.equal(error.code, 'ERR_PORTSIDE_TIMEOUT');
    assert.equal(
      error.message.includes(`workers 0, 2 did not get ready within ${bootTimeout} ms`),
      true,
      error.message,
    );
    assert.ok(took >= bootTimeout - 1);
  });

  test('can be called off by its signal, and rejects with its reason', async () => {
    const reason = new Error('changed my mind');
    const { workerData, ...options } = planned('hang', 'spin');
    const caller = new AbortController();
    const port = await freePort();
    const start = startParallel(worker('boot-plan'), {
      port,
      host: '127.0.0.1',
      ...anyWay.options,
      ...options,
      workerData,
      signal: caller.signal,
    });
    const failed = assert.rejects(start, (error) => error === reason);
    await eventually(() => Atomics.load(workerData.muster, 0) === 2);
    caller.abort(reason);
    await failed;
    await assertFree(port);
    await assert.rejects(
      startParallel(worker('boot-plan'), { port, host: '127.0.0.1', ...anyWay.options, signal: caller.signal }),
      (error) => error === reason,
    );
  });
});

describe('a start whose onStart', () => {
  test('throws rejects with that, and leaves nothing', async () => {
    const reason = new Error('not today');
    const port = await freePort();
    const states: string[] = [];
    const start = startParallel(worker('commands'), {
      port,
      host: '127.0.0.1',
      ...anyWay.options,
      parallelism: 2,
      onStart: (server) => {
        server.on('state', (state) => states.push(state));
        throw reason;
      },
    });
    await assert.rejects(start, (error) => error === reason);
    await assertFree(port);
    assert.deepEqual(states, ['stopped']);
  });
});

onEachWay('onStart', (way) => {
  test('has run before the first client is accepted', async () => {
    const begun = Promise.withResolvers<number>();
    const go = Promise.withResolvers<void>();
    const start = startOn(way, worker('commands'), {
      onStart: async (server) => {
        const [address] = server.addresses;
        assert.ok(address !== undefined && 'port' in address);
        begun.resolve(address.port);
        await go.promise;
        assert.equal(server.status().accepted, 0);
      },
    });
    const client = await dialPort(await begun.promise);
    const answer = ask(client, 'anybody?');
    // Time enough for workers that accept by themselves.
    await new Promise((resolve) => setTimeout(resolve, 100));
    go.resolve();
    const server = await start;
    assert.equal(await answer, 'anybody?');
    assert.equal(server.status().accepted, 1);
  });
});

onEachWay(
  'ten echoes, one after another, over two workers',
  (way) => {
    // The other of place-tcp's own two tests.
    test('alternate', async () => {
      const server = await startOn(way, worker('bare'), { dispatch: 'round-robin' });
      for (let i = 0; i < 10; i += 1) {
        const client = await dial(server);
        assert.equal(await line(client), `${i % 2}/2`);
        assert.equal(await ask(client, `hello ${i}`), `hello ${i}`);
        await client.close();
      }
    });
  },
  ({ handed }) => handed,
);

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { formatAddress } from '../../src/transport/address.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { createServer, serve } from '../../src/server/server.ts';
import { describeReason, peerName } from '../../src/server/verbose.ts';
import { PortsideError } from '../../src/base/errors.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { unhandled } from '../support/unhandled.ts';
import { dial, dialToReset, serveOn, turns, until } from './support.ts';

onEachNet('the lines of verbose', (net) => {
  for (const [verbose, prefix] of [
    [true, 'portside'],
    ['chat 7', 'chat 7'],
  ] as const) {
    test(`tell each step of a connection, with the prefix ${prefix}`, async () => {
      const lines: string[] = [];
      const server = await serveOn(
        net,
        async (conn) => {
          for (let line = await conn.readLine(); line !== null; line = await conn.readLine())
            void conn.write(`${line}!\n`);
        },
        { verbose, log: (line) => void lines.push(line) },
      );
      const [place] = server.addresses;
      assert.ok(place !== undefined);
      const one = await dial(net, server);
      await one.write('hello\n');
      assert.equal(await one.readLine(), 'hello!');
      const two = await dial(net, server);
      await two.write('hi\n');
      assert.equal(await two.readLine(), 'hi!');
      const [first, second] = [formatAddress(one.local), formatAddress(two.local)] as const;
      for (const client of [one, two]) {
        await client.close();
        await until(() => server.status().active === (client === one ? 1 : 0));
      }
      await server.stop();
      const took = lines.map((line) => line.replace(/, \d+ ms$/u, ', T ms'));
      assert.deepEqual(took, [
        `[${prefix}] waiting for connections on ${formatAddress(place)}`,
        `[${prefix}] #1 accepted from ${first}`,
        `[${prefix}] #1 started (1 running)`,
        `[${prefix}] #2 accepted from ${second}`,
        `[${prefix}] #2 started (2 running)`,
        `[${prefix}] #1 closed: both sides ended; 6 bytes in, 7 out, T ms`,
        `[${prefix}] #2 closed: both sides ended; 3 bytes in, 4 out, T ms`,
      ]);
    });
  }

  test('number the connections without ever using a number twice, however they come and go', async () => {
    const lines: string[] = [];
    const server = await serveOn(
      net,
      { open: (conn) => conn.abort() },
      { verbose: true, log: (line) => void lines.push(line) },
    );
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(Array.from({ length: 20 }, () => dialToReset(net, server)));
      await until(() => server.status().closed === 20 * (round + 1));
    }
    await server.stop();
    for (const step of ['accepted', 'started', 'closed']) {
      const ids = lines.filter((line) => line.includes(` ${step}`)).map((line) => Number(/#(\d+)/u.exec(line)?.[1]));
      assert.deepEqual(
        ids.toSorted((a, b) => a - b),
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
    }
  });

  test('tell of refusals and of what was given away', async () => {
    const lines: string[] = [];
    const server = await serveOn(net, (conn, { server: mine }) => mine.detach(conn).abort(), {
      verbose: true,
      log: (line) => void lines.push(line),
    });
    await dialToReset(net, server);
    server.set({ deny: ['127.0.0.1'] });
    await dialToReset(net, server);
    await until(() => server.status().refused.denied === 1);
    await server.stop();
    assert.deepEqual(lines[3], '[portside] #1 given away by its handler');
    assert.match(lines[4] ?? '', /^\[portside\] refused 127\.0\.0\.1:\d+: denied$/u);
    assert.equal(lines.length, 5);
  });

  for (const [how, log] of [
    ['throws', (): never => assert.fail('no room on the disk')],
    ['rejects', (): Promise<never> => Promise.reject(new Error('no room on the disk'))],
  ] as const) {
    test(`a log that ${how} breaks nothing, and is told once`, async () => {
      const rejections = unhandled();
      const told: string[] = [];
      const server = await serveOn(net, async (conn) => conn.write(`${(await conn.readLine()) ?? ''}\n`), {
        verbose: true,
        // oxlint-disable-next-line no-misused-promises -- which is a mistake that is made
        log,
        onError: (error) => void told.push((error as Error).message),
      });
      for (let count = 0; count < 3; count += 1) {
        const client = await dial(net, server);
        await client.write('hello\n');
        assert.equal(await client.readLine(), 'hello');
        await endAll(client);
      }
      await server.stop();
      await turns();
      assert.deepEqual([told, server.status().errors], [['no room on the disk'], 1]);
      assert.deepEqual(await rejections(), []);
    });
  }

  test('a log that works again and fails again is told again', async () => {
    let fails = true;
    const server = await serveOn(
      net,
      { open: (conn) => conn.abort() },
      {
        verbose: true,
        log: () => {
          if (fails) throw new Error('full');
        },
      },
    );
    for (const broken of [true, false, true]) {
      fails = broken;
      await dialToReset(net, server);
      await turns();
    }
    await until(() => server.status().closed === 3);
    assert.equal(server.status().errors, 2);
    await server.stop();
  });
});

describe('verbose', () => {
  test('without a log is an error in the options, and false needs none', () => {
    for (const verbose of [true, 'name'])
      assert.throws(() => createServer({ open() {} }, { port: 0, verbose }), {
        code: 'ERR_PORTSIDE_OPTIONS',
        message: /verbose needs log/u,
      });
    createServer({ open() {} }, { port: 0, verbose: false });
  });

  test('tells times and counts to the letter', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    const place = { host: '127.0.0.1', port: 4_000 };
    const lines: string[] = [];
    const options: ServerOptions = { ...place, transport, verbose: true, log: (line) => void lines.push(line) };
    await new Scope({ clock }).run(async () => {
      const server = await serve(
        { data: (conn, bytes) => void conn.write(bytes) },
        { ...options, deadlines: { idle: 2_500 } },
      );
      const client = await clock.run(connect(place, { transport, localPort: 50_000 }));
      void client.write('hello');
      await clock.advance(1_000);
      void client.read();
      await clock
        .run(
          client.closed.then(
            () => {},
            () => {},
          ),
          { limit: 20_000 },
        )
        .catch(() => {});
      await clock.run(endAll(client));
      await clock.run(server.stop());
    });
    assert.equal(lines.at(-1), '[portside] #1 closed: idle deadline of 2500 ms; 5 bytes in, 5 out, 7500 ms');
  });

  test('puts nothing into a line that would end it', async () => {
    const lines: string[] = [];
    const { transport } = memoryNetwork();
    const place = { host: '127.0.0.1', port: 4_000 };
    const server = await serve(
      () => {
        throw new Error('two\nlines\r\u001B[31m\u2028');
      },
      { ...place, transport, verbose: true, log: (line) => void lines.push(line), onError: () => {} },
    );
    const client = await connect(place, { transport });
    await until(() => server.status().closed === 1);
    assert.match(lines.at(-1) ?? '', /closed: aborted: two\\u000alines\\u000d\\u001b\[31m\\u2028; 0 bytes in/u);
    await endAll(client);
    await server.stop();
  });

  test('has words for every reason', () => {
    const error = new PortsideError('ECONNRESET', 'the network is down', { op: 'read' });
    const words = [
      describeReason({ kind: 'ended' }),
      describeReason({ kind: 'closed' }),
      describeReason({ kind: 'dropped', unsent: 7 }),
      describeReason({ kind: 'aborted', cause: undefined }),
      describeReason({ kind: 'aborted', cause: new Error('spilt') }),
      describeReason({ kind: 'reset', error }),
      describeReason({ kind: 'failed', error }),
      describeReason({ kind: 'write-overflow', queued: 5, limit: 4 }),
      describeReason({ kind: 'released' }),
      describeReason({ kind: 'timeout', deadline: 'firstByte', after: 9 }),
      describeReason({ kind: 'drained', idle: true }),
      describeReason({ kind: 'drained', idle: false }),
      describeReason({ kind: 'refused', refusal: { kind: 'client-full', client: 'c', limit: 2 } as never }),
    ];
    assert.deepEqual(words, [
      'both sides ended',
      'closed here',
      'closed here with 7 bytes unsent',
      'aborted',
      'aborted: spilt',
      'reset by the peer',
      'the network is down',
      '5 bytes of output were queued',
      'given to another owner',
      'first byte deadline of 9 ms',
      'idle at the end of the server',
      'forced at the end of the server',
      'refused: client-full',
    ]);
    assert.equal(peerName({ family: 'unix', path: '' }), 'a local client');
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { pipe } from '../../src/net/pipe.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import { detach } from '../../src/server/detach.ts';
import type { Handler } from '../../src/server/handler.ts';
import { serve } from '../../src/server/server.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { certificates } from '../support/certificates.ts';
import { endAll, onEachNet, pairOn, readAll } from '../support/nets.ts';
import { dial, dialToReset, serveOn, textOf, turns, until } from './support.ts';

const script = 'one\ntwo\nthree\nfour\nfive\n';

/** Where a handler puts what it gave away. */
interface Box {
  taken: Connection | null;
  /** What it had consumed before. */
  consumed: string;
}

/** Handlers that consume the first line and give the rest away, in each shape. */
const givers: Readonly<Record<string, (box: Box) => Handler>> = {
  'a function': (box) => async (conn, context) => {
    box.consumed += `${(await conn.readLine()) ?? 'nothing'}\n`;
    box.taken = context.server.detach(conn);
  },
  'a function on a codec': (box) =>
    defineHandler(lines(), async (frames, conn) => {
      const { value } = await frames.next();
      box.consumed += `${value ?? 'nothing'}\n`;
      box.taken = detach(conn);
    }),
  'a protocol': (box) => ({
    data(conn, bytes) {
      box.consumed += Buffer.from(bytes).toString();
      box.taken = detach(conn);
    },
  }),
  'a protocol on a codec': (box) =>
    defineHandler(lines(), {
      frame(conn, line) {
        box.consumed += `${line}\n`;
        box.taken = detach(conn);
      },
    }),
};

function onEachWay(tests: (way: { readonly name: string; readonly secure: boolean }) => void): void {
  for (const secure of [false, true]) tests({ name: secure ? 'under TLS' : 'in the clear', secure });
}

onEachNet('a connection that is given away', (net) => {
  onEachWay(({ name, secure }) => {
    for (const [shape, giver] of Object.entries(givers)) {
      test(`by ${shape} ${name} keeps every byte in order, is counted, and survives the server's stop`, async () => {
        const box: Box = { taken: null, consumed: '' };
        const pem = secure ? certificates() : null;
        const tls = pem === null ? {} : { tls: { cert: pem.server.cert, key: pem.server.key } };
        const server = await serveOn(net, giver(box), { ...tls, maxConnections: 1 });
        const trust = pem === null ? {} : { tls: { ca: pem.ca } };
        const client = await dial(net, server, trust);
        // In one piece, so that there is a rest of it; and more, which comes later.
        await client.write(script);
        await until(() => box.taken !== null);
        const { taken } = box;
        assert.ok(taken !== null);
        await turns(5);
        assert.equal(taken.closeReason, null, 'the handler returned, and it is open');
        const { active, detached, accepted, closed, connections } = server.status({ connections: true });
        assert.deepEqual([active, detached, accepted, closed, connections], [0, 1, 1, 0, []]);
        // Its permit is free.
        const next = await dial(net, server, trust);
        await until(() => server.status().accepted === 2);
        await endAll(next);
        const ledger = await server.stop({ grace: 1_000 });
        assert.equal(ledger.forced, 0);
        assert.equal(taken.closeReason, null);
        assert.equal(taken.draining.aborted, false);
        await client.write('later');
        void client.closeWrite();
        const rest = await textOf(taken);
        assert.equal(box.consumed + rest, `${script}later`);
        if (shape !== 'a protocol') assert.equal(box.consumed, 'one\n');
        await taken.write('answer');
        void taken.close();
        assert.equal(await textOf(client), 'answer');
        await client.close();
      });
    }
  });

  test('in the middle of many frames comes with all that were not decoded, half ones too', async () => {
    let taken: Connection | null = null;
    const seen: string[] = [];
    const codec = lengthPrefix({ bytes: 2 });
    const server = await serveOn(
      net,
      defineHandler(codec, {
        frame(conn, frame) {
          seen.push(Buffer.from(frame).toString());
          if (seen.length === 2) taken = detach(conn);
        },
      }),
    );
    const client = await dial(net, server);
    const all = Buffer.concat(['a', 'bb', 'ccc', 'dddd'].map((text) => codec.encode(Buffer.from(text))));
    void client.write(all.subarray(0, all.length - 2));
    await until(() => taken !== null);
    void client.write(all.subarray(all.length - 2));
    void client.closeWrite();
    const frames: string[] = [];
    for await (const frame of (taken as unknown as Connection).frames(codec))
      frames.push(Buffer.from(frame).toString());
    assert.deepEqual(
      [seen, frames],
      [
        ['a', 'bb'],
        ['ccc', 'dddd'],
      ],
    );
    await endAll(client, taken as unknown as Connection);
    await server.stop();
  });

  test('comes with a part of a frame that arrived in many pieces', async () => {
    let taken: Connection | null = null;
    let serving: Connection | null = null;
    const server = await serveOn(
      net,
      defineHandler(lines(), {
        open(conn) {
          serving = conn;
        },
        frame: () => {},
        draining(conn) {
          taken = detach(conn);
        },
      }),
    );
    const client = await dial(net, server);
    for (const [i, piece] of ['line\nha', 'lf', ' a ', 'line'].entries()) {
      void client.write(piece);
      const all = [7, 9, 12, 16][i];
      await until(() => serving?.bytesRead === all);
    }
    await server.stop();
    await client.closeWrite();
    assert.equal(await textOf(taken as unknown as Connection), 'half a line');
    await endAll(client, taken as unknown as Connection);
  });

  test('in open comes with what had arrived before, and nothing is called for it any more', async () => {
    const calls: string[] = [];
    let taken: Connection | null = null;
    const server = await serveOn(
      net,
      {
        open(conn) {
          taken = detach(conn);
        },
        data: () => void calls.push('data'),
        end: () => void calls.push('end'),
        drain: () => void calls.push('drain'),
        draining: () => void calls.push('draining'),
        close: () => void calls.push('close'),
      },
      { proxy: { from: ['127.0.0.0/8'] } },
    );
    const client = await dial(net, server);
    // The bytes come with the header, so they are there before the handler is.
    void client.write('PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\nhello');
    await until(() => taken !== null);
    void client.closeWrite();
    const given = taken as unknown as Connection;
    await server.stop();
    void given.write(Buffer.alloc(500_000));
    void given.flushed();
    assert.equal(await textOf(given), 'hello');
    void given.close();
    assert.equal((await readAll(client)).length, 500_000);
    await client.close();
    assert.deepEqual(calls, []);
  });

  test('with output queued sends all of it, and is joined to another by pipe', async () => {
    const { server: far, client: near } = await pairOn(net);
    const box: Box = { taken: null, consumed: '' };
    let piped: Promise<unknown> | null = null;
    const server = await serveOn(net, {
      data(conn, bytes) {
        box.consumed += Buffer.from(bytes).toString();
        void conn.write(Buffer.alloc(4_000_000, 'q'));
        box.taken = detach(conn);
        piped = pipe(conn, near);
      },
    });
    const client = await dial(net, server);
    void client.write('first');
    await until(() => piped !== null);
    await server.stop({ grace: 0 });
    void client.write('second');
    void client.closeWrite();
    assert.equal(await textOf(far), 'second');
    void far.write('from far');
    void far.close();
    const got = await readAll(client);
    assert.equal(got.length, 4_000_000 + 'from far'.length);
    assert.equal(got.subarray(4_000_000).toString(), 'from far');
    await (piped as unknown as Promise<unknown>);
    await client.close();
  });

  test('is not ended by what its handler throws afterwards, which is told all the same', async () => {
    for (const shape of ['function', 'protocol'] as const) {
      const seen: unknown[] = [];
      let taken: Connection | null = null;
      const boom = new Error('boom');
      const give = (conn: Connection): void => {
        taken = detach(conn);
        throw boom;
      };
      const handler: Handler = shape === 'function' ? give : { open: give };
      const server = await serveOn(net, handler, { onError: (error) => void seen.push(error) });
      const client = await dial(net, server);
      await until(() => seen.length === 1);
      await turns(5);
      assert.deepEqual(seen, [boom]);
      const given = taken as unknown as Connection;
      assert.equal(given.closeReason, null);
      void given.write('alive');
      void given.close();
      assert.equal(await textOf(client), 'alive');
      await client.close();
      await server.stop();
    }
  });

  test('is given away while the server drains, and is on the ledger as that', async () => {
    let taken: Connection | null = null;
    const server = await serveOn(net, {
      draining(conn) {
        taken = detach(conn);
      },
    });
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    const ledger = await server.stop();
    assert.deepEqual([ledger.connections, ledger.detached], [1, 1]);
    assert.ok(taken !== null);
    assert.equal((taken as Connection).closeReason, null);
    await endAll(client, taken);
  });

  test('is reset with the rest of a server whose prepareHardClose it does not meet', async () => {
    const prepared: Connection[] = [];
    let taken: Connection | null = null;
    const server = await serveOn(
      net,
      async (conn) => {
        if ((await conn.readLine()) === 'give') taken = detach(conn);
        else throw new Error('boom');
      },
      { prepareHardClose: (conn) => void prepared.push(conn), onError: () => {} },
    );
    const client = await dial(net, server);
    void client.write('give\n');
    await until(() => taken !== null);
    await dialToReset(net, server, 'other\n');
    await server.stop({ grace: 0 });
    assert.equal(prepared.length, 1);
    assert.notEqual(prepared[0], taken);
    await endAll(client, taken as unknown as Connection);
  });
});

describe('the deadlines of a connection that is given away', () => {
  const place = { host: '127.0.0.1', port: 4000 };

  test('are those of the server no more, also for output that was queued before', async () => {
    const clock = new VirtualClock();
    const { transport } = memoryNetwork({ clock });
    await new Scope({ clock }).run(async () => {
      let taken: Connection | null = null;
      const deadlines = { idle: 4_000, read: 4_000, life: 4_000, firstByte: 4_000, write: 1_000 };
      const server = await serve(
        async (conn) => {
          void conn.write(Buffer.alloc(2_000_000));
          await conn.readExactly(1);
          // By now the peer's side has taken what it can hold, and the time of the write deadline runs for the rest.
          assert.ok(conn.queuedBytes > 0, 'it is queued');
          taken = detach(conn);
        },
        { ...place, transport, deadlines },
      );
      const client = await clock.run(connect(place, { transport }));
      await clock.advance(400);
      await client.write('x');
      await clock.settle();
      assert.ok(taken !== null);
      await clock.advance(50_000);
      const given = taken as unknown as Connection;
      assert.equal(given.closeReason, null);
      // What every connection has: a peer that takes nothing for a minute.
      await clock.advance(20_000);
      assert.equal((given.closeReason as { kind: string } | null)?.kind, 'timeout');
      await clock.run(endAll(client));
      await clock.run(server.stop());
    });
  });
});

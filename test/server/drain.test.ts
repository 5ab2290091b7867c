import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';
import { createServer } from '../../src/server/server.ts';
import { select } from '../../src/sync/evt.ts';
import { certificates } from '../support/certificates.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet, portOf } from '../support/nets.ts';
import { Guest, idling, stubborn, summary, toiling } from './guests.ts';
import { dial, serveOn, textOf, turns, until } from './support.ts';

const host = '127.0.0.1';
const LONG = 3_600_000;

onEachNet('a drain', (net) => {
  test('makes the server not ready at once, accepts for its lead, and has on its ledger who came meanwhile', async () => {
    const noLeaks = watchLeaks();
    const server = await serveOn(net, idling);
    const states: string[] = [];
    server.on('state', (state) => states.push(`${state} ${server.ready}`));
    const first = new Guest(await dial(net, server));
    const done = server.drain({ lead: LONG, grace: LONG });
    assert.deepEqual(
      [server.ready, server.state, server.stopped, server.status().ready],
      [false, 'draining', false, false],
    );
    assert.deepEqual(states, ['draining false']);
    const second = new Guest(await dial(net, server));
    await until(() => server.status().active === 2);
    assert.deepEqual([first.end, second.end], [null, null]);
    // However long the second took to come.
    void server.drain({ lead: 100 });
    const ledger = await done;
    assert.deepEqual([first.end, second.end], ['eof', 'eof']);
    assert.deepEqual(summary(ledger), { idle: 2 });
    assert.ok(ledger.took >= 99, `took ${ledger.took} ms`);
    assert.deepEqual(new Set(ledger.entries.map(({ id }) => id)), new Set([1, 2]));
    await assert.rejects(dial(net, server), { code: 'ECONNREFUSED' });
    await noLeaks();
  });

  test('gives the ports up at once: another server binds them while connections come to their end', async () => {
    const server = await serveOn(net, toiling, { listen: [`tcp://${host}:0`, `tcp://${host}:0`] });
    const guest = new Guest(await dial(net, server));
    await until(() => server.status().active === 1);
    const done = server.drain({ grace: LONG });
    const heir = createServer(idling, {
      listen: server.addresses.map((address) => ({ host, port: portOf({ address }) })),
      transport: net.transport,
    });
    await heir.start();
    assert.deepEqual(heir.addresses, server.addresses);
    assert.equal(server.status().active, 1);
    await endAll(await dial(net, heir), guest.client);
    assert.deepEqual(summary(await done), { failed: 1 });
    await heir.stop();
  });

  test('resets the clients that wait in the backlog, and nobody else', async () => {
    const server = await serveOn(net, { open: (conn) => void conn.write('in\n'), data() {} }, { maxConnections: 1 });
    const inside = await dial(net, server);
    assert.equal(await inside.readLine(), 'in');
    const guest = new Guest(inside);
    const waiting = [await dial(net, server), await dial(net, server)].map((client) => new Guest(client));
    await turns();
    assert.equal(server.status().accepted, 1);
    const ledger = await server.stop();
    await Promise.all([guest, ...waiting].map(({ gone }) => gone));
    assert.deepEqual([guest.end, ...waiting.map(({ end }) => end)], ['eof', 'ECONNRESET', 'ECONNRESET']);
    assert.deepEqual(summary(ledger), { idle: 1 });
  });

  for (const [shape, make] of shapes()) {
    test(`tells everybody once, and all before the first is closed: ${shape}`, async () => {
      const log: string[] = [];
      const server = await serveOn(net, make(log));
      server.on('close', (_conn, _reason, id) => log.push(`closed ${id}`));
      const guests = await Promise.all(Array.from({ length: 7 }, async () => new Guest(await dial(net, server))));
      await until(() => server.status().active === 7);
      await turns();
      const done = server.drain({ grace: LONG });
      void server.stop({ grace: LONG });
      await done;
      assert.deepEqual(
        log.slice(0, 7).toSorted(),
        [1, 2, 3, 4, 5, 6, 7].map((id) => `told ${id}`),
      );
      assert.deepEqual(
        log.slice(7).toSorted(),
        [1, 2, 3, 4, 5, 6, 7].map((id) => `closed ${id}`),
      );
      assert.deepEqual(new Set(guests.map(({ text, end }) => `${text} ${end ?? 'there'}`)), new Set(['goodbye\n eof']));
    });
  }

  test('lets a handler that is told finish its work, and counts that as finished', async () => {
    const server = await serveOn(net, async (conn) => {
      await select(conn.readEvt(), conn.drainEvt());
      await turns();
      await conn.write('the rest of the work\n');
    });
    const guests = await Promise.all(
      [dial(net, server), dial(net, server)].map(async (dialing) => new Guest(await dialing)),
    );
    await until(() => server.status().active === 2);
    assert.deepEqual(summary(await server.drain({ grace: LONG })), { finished: 2 });
    for (const { text, end } of guests) assert.deepEqual([text, end], ['the rest of the work\n', 'eof']);
  });

  test('ends by force at the end of its grace: prepareHardClose may say something, then comes the reset', async () => {
    const noLeaks = watchLeaks();
    const asked: Connection[] = [];
    const server = await serveOn(net, stubborn, {
      prepareHardClose(conn) {
        asked.push(conn);
        if (asked.length === 1) void conn.write('sorry\n');
        if (asked.length === 1) void conn.close();
        if (asked.length === 2) throw new Error('from the hook');
      },
    });
    const guests = await Promise.all(Array.from({ length: 3 }, async () => new Guest(await dial(net, server))));
    await until(() => server.status().active === 3);
    const ledger = await server.drain({ grace: 10 });
    assert.deepEqual(summary(ledger), { forced: 3 });
    await Promise.all(guests.map(({ gone }) => gone));
    assert.deepEqual(guests.map(({ text, end }) => `${text}${end ?? 'there'}`).toSorted(), [
      'ECONNRESET',
      'ECONNRESET',
      'sorry\neof',
    ]);
    assert.equal(new Set(asked).size, 3);
    assert.equal(server.status().errors, 1);
    await noLeaks();
  });

  test('drops who is still shaking hands, for which no handler has begun', async () => {
    const { server: pair } = certificates();
    const begun: number[] = [];
    const server = await serveOn(net, (_conn, { id }) => void begun.push(id), {
      listen: [
        { port: 0, host, proxy: { from: ['any'] } },
        { port: 0, host, tls: pair },
      ],
    });
    const clients = [await dial(net, server), await dial(net, server, {}, 1), await dial(net, server)];
    // One in the middle of its header.
    void clients[2]?.write('PROXY TCP4 ');
    await until(() => server.status().opening === 3);
    await turns();
    const ledger = await server.drain({ grace: LONG });
    assert.deepEqual(summary(ledger), { idle: 3 });
    assert.deepEqual(begun, []);
    await endAll(...clients);
  });

  test('has who fails on its ledger as that, and who was given away as detached', async () => {
    const given: Connection[] = [];
    const server = await serveOn(net, async (conn, { server: own }) => {
      conn.busy = true;
      const line = await conn.readLine();
      if (line === 'throw') throw new Error('from the handler');
      if (line === 'detach') given.push(own.detach(conn));
      if (line === 'leave') return;
      await conn.read();
    });
    const words = ['throw', 'detach', 'leave', 'reset', 'sleep'];
    const guests = await Promise.all(words.map(async () => new Guest(await dial(net, server))));
    await until(() => server.status().active === words.length);
    const done = server.drain({ grace: LONG });
    for (const [i, word] of words.entries()) {
      if (word === 'reset') guests[i]?.client.abort();
      else if (word !== 'sleep') void guests[i]?.client.write(`${word}\n`);
    }
    // Only who says nothing is to be late, however slow the others are.
    await until(() => server.status().active === 1);
    server.set({ deadlines: { idle: 1 } });
    const ledger = await done;
    assert.deepEqual(summary(ledger), { finished: 1, failed: 3, detached: 1 });
    const kinds = ledger.entries.map(({ ending, reason }) => `${ending} ${reason?.kind ?? 'away'}`).toSorted();
    assert.deepEqual(kinds, ['detached away', 'failed aborted', 'failed reset', 'failed timeout', 'finished closed']);
    assert.equal(given[0]?.closeReason, null);
    await endAll(...given, ...guests.map(({ client }) => client));
  });

  test('may be begun by a handler of the server, which goes on', async () => {
    const server = await serveOn(net, async (conn, { server: own }) => {
      for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
        if (line !== 'stop') continue;
        void own.drain({ grace: LONG });
        assert.equal(conn.draining.aborted, true);
        await conn.write('as you wish\n');
        await turns();
        return;
      }
    });
    const guests = await Promise.all(
      [dial(net, server), dial(net, server)].map(async (dialing) => new Guest(await dialing)),
    );
    await until(() => server.status().active === 2);
    void guests[0]?.client.write('stop\n');
    await server.waitStopped();
    await Promise.all(guests.map(({ gone }) => gone));
    assert.deepEqual(
      guests.map(({ text, end }) => `${text}${end ?? 'there'}`),
      ['as you wish\neof', 'eof'],
    );
    assert.deepEqual(summary(await server.stop()), { finished: 1, idle: 1 });
  });

  test('that is begun by who hears of a connection comes after its open', async () => {
    const log: string[] = [];
    const server = await serveOn(net, {
      open: () => void log.push('open'),
      draining: () => void log.push('draining'),
      close: () => void log.push('close'),
    });
    server.on('connection', () => void server.drain({ grace: LONG }));
    const guest = new Guest(await dial(net, server));
    await server.waitStopped();
    await guest.gone;
    assert.deepEqual(log, ['open', 'draining', 'close']);
    assert.equal(guest.end, 'eof');
  });

  test('that is hastened by a handler which is told still tells the others first', async () => {
    const log: string[] = [];
    const server = await serveOn(net, {
      open() {},
      draining(conn) {
        const still = conn.write('too late').then(
          () => log.push('was open'),
          () => log.push('was closed'),
        );
        log.push('told');
        void server.stop({ grace: 0 });
        return void still;
      },
      close: (_conn, { kind }) => void log.push(kind),
    });
    const guests = await Promise.all(Array.from({ length: 3 }, async () => new Guest(await dial(net, server))));
    await until(() => server.status().active === 3);
    assert.deepEqual(summary(await server.drain({ grace: LONG })), { forced: 3 });
    assert.deepEqual(
      log,
      ['told', 'was open', 'drained'].flatMap((what) => [what, what, what]),
    );
    await Promise.all(guests.map(({ gone }) => gone));
  });

  test('ends whoever is left when its signal is aborted, and asks for no more of it afterwards', async () => {
    const server = await serveOn(net, toiling);
    const client = await dial(net, server);
    await until(() => server.status().active === 1);
    const stop = new AbortController();
    const done = server.drain({ lead: LONG, grace: LONG, signal: stop.signal });
    await turns();
    stop.abort();
    assert.deepEqual(summary(await done), { forced: 1 });
    await assert.rejects(textOf(client), { code: 'ECONNRESET' });
    // One that was aborted before leaves no time at all.
    const other = await serveOn(net, toiling);
    const second = await dial(net, other);
    await until(() => other.status().active === 1);
    assert.deepEqual(summary(await other.drain({ lead: LONG, signal: stop.signal })), { forced: 1 });
    await endAll(client, second);
  });
});

/** Handlers that say goodbye when they are told, each in its way, and wait for their client otherwise. */
function shapes(): readonly (readonly [string, (log: string[]) => Handler])[] {
  const say = (conn: Connection, log: string[], id: number): void => {
    log.push(`told ${id}`);
    void conn.write('goodbye\n');
  };
  const callbacks = (log: string[]) => {
    const ids = new Map<Connection, number>();
    return {
      open: (conn: Connection, { id }: { id: number }) => void ids.set(conn, id),
      draining: (conn: Connection) => say(conn, log, ids.get(conn) ?? 0),
    };
  };
  return [
    [
      'a function with a listener of the signal',
      (log) =>
        async (conn, { id }) => {
          conn.draining.addEventListener('abort', () => say(conn, log, id));
          while ((await conn.readLine()) !== null);
        },
    ],
    [
      'a function that selects on drainEvt',
      (log) =>
        async (conn, { id }) => {
          await select(conn.readEvt(), conn.drainEvt());
          say(conn, log, id);
          while ((await conn.read()) !== null);
        },
    ],
    ['callbacks', (log) => ({ ...callbacks(log), data() {} })],
    ['callbacks on a codec', (log) => defineHandler(lines(), { ...callbacks(log), frame() {} }) as Handler],
  ];
}

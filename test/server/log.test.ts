import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { PortsideError } from '../../src/base/errors.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ProxyOutOptions } from '../../src/net/proxy-out.ts';
import type { Context } from '../../src/server/context.ts';
import { silentLogger } from '../../src/server/logger.ts';
import type { Logger } from '../../src/server/logger.ts';
import { createServer } from '../../src/server/server.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll, onEachNet } from '../support/nets.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { keepLines } from './log-lines.ts';
import { dial, serveOn, textOf, until } from './support.ts';
import { Stage } from './virtual.ts';

const echo = async (conn: Connection): Promise<void> => {
  for await (const bytes of conn) await conn.write(bytes);
};
const entry = { family: 'ipv4', host: '203.0.113.1', port: 25 } as const;
const proxied: ProxyOutOptions = { source: { family: 'ipv4', host: '192.0.2.7', port: 4711 }, destination: entry };

onEachNet('the log of a server', (net) => {
  test('has a line for each connection that is over: who, how many bytes, how long, why', async () => {
    const noLeaks = watchLeaks();
    const kept = keepLines();
    const server = await serveOn(net, echo, { logger: kept.logger });
    const client = await dial(net, server);
    const peer = formatAddress(client.local);
    await client.write('hello');
    await client.closeWrite();
    assert.equal(await textOf(client), 'hello');
    await client.close();
    const rude = await dial(net, server);
    await rude.write('abc');
    await until(() => server.status().bytesRead === 8);
    rude.abort();
    await until(() => kept.said('connection closed').length === 2);
    const [first, second] = kept.said('connection closed');
    const { duration, ...rest } = first!;
    assert.deepEqual(rest, { conn: 1, peer, bytesRead: 5, bytesWritten: 5, reason: 'ended' });
    assert.ok(Number.isInteger(duration) && (duration as number) >= 0, String(duration));
    assert.deepEqual([second?.['conn'], second?.['bytesRead'], second?.['reason']], [2, 3, 'reset']);
    assert.deepEqual(
      kept.lines.map(({ level }) => level),
      ['info', 'info'],
    );
    await server.stop();
    await noLeaks();
  });

  test('tells TLS by what is public of it', async () => {
    const kept = keepLines();
    const server = await serveOn(net, echo, { logger: kept.logger, tls: serverTls({ alpn: ['chat/1'] }) });
    const client = await dial(net, server, { tls: clientTls({ alpn: ['chat/1'] }) });
    await client.write('x');
    await client.read();
    await client.close();
    await until(() => kept.lines.length === 1);
    const { tls } = kept.lines[0]!.fields;
    const cipher = client.tls?.cipher;
    assert.deepEqual(tls, { protocol: 'TLSv1.3', cipher, servername: 'localhost', alpn: 'chat/1' });
    const plain = await dial(net, server);
    void plain.write('this is no handshake, and a secret: xyzzy\r\n');
    await until(() => kept.lines.length === 2);
    const failed = kept.lines[1]!.fields;
    assert.deepEqual([failed['reason'], 'tls' in failed, 'code' in failed], ['handshake', false, true]);
    assert.doesNotMatch(JSON.stringify(kept.lines), /xyzzy|PRIVATE|BEGIN/u);
    await endAll(plain);
    await server.stop();
  });

  test('behind a proxy, names the client as the peer, and the proxy as who brought it; context.log as well', async () => {
    const kept = keepLines();
    const handler = async (conn: Connection, context: Context): Promise<void> => {
      context.log.info({ word: await conn.readLine() }, 'said');
    };
    const server = await serveOn(net, handler, { logger: kept.logger, proxy: { from: ['loopback'] } });
    const client = await dial(net, server, { proxy: proxied });
    const via = formatAddress(client.local);
    await client.write('hello\n');
    await client.close();
    await until(() => kept.lines.length === 2);
    assert.deepEqual(kept.said('said'), [{ conn: 1, peer: '192.0.2.7:4711', word: 'hello' }]);
    const [line] = kept.said('connection closed');
    assert.deepEqual([line?.['peer'], line?.['via']], ['192.0.2.7:4711', via]);
    await server.stop();
  });

  test('tells an error of a handler with its connection, and nothing of what the error carries beside its words', async () => {
    const kept = keepLines('warn');
    const error = Object.assign(new PortsideError('ERR_PORTSIDE_STATE', 'can’t reach http://bob:hunter2@db/x'), {
      config: { password: 'hunter2' },
    });
    const server = await serveOn(
      net,
      async (conn) => {
        await conn.read();
        throw error;
      },
      { logger: kept.logger },
    );
    const client = await dial(net, server);
    await client.write('x');
    await until(() => kept.lines.length === 1);
    const { level, fields, message } = kept.lines[0]!;
    const { err, ...rest } = fields as { err: Record<string, string> };
    assert.deepEqual(
      [level, message, rest],
      ['error', 'handler failed', { conn: 1, peer: formatAddress(client.local) }],
    );
    const { stack, ...told } = err;
    assert.deepEqual(told, {
      type: 'PortsideError',
      code: 'ERR_PORTSIDE_STATE',
      message: 'can’t reach http://***@db/x',
    });
    assert.match(stack ?? '', /^PortsideError: can’t reach http:\/\/\*{3}@db\/x\n {4}at /u);
    assert.doesNotMatch(JSON.stringify(kept.lines), /hunter2/u);
    await endAll(client);
    await server.stop();
  });
});

describe('what a server logs', () => {
  test('the same error many times a second is one line, and then one a second with their number', async () => {
    const stage = new Stage();
    const kept = keepLines('error');
    const handler = (_conn: Connection, { id }: Context): void => {
      throw new Error(id === 60 ? 'something else' : `bad mood ${id}`);
    };
    const server = await stage.serve(handler, { logger: kept.logger });
    const told = (): unknown[] => kept.lines.map(({ fields }) => [fields['conn'], fields['repeated'] ?? 0]);
    for (let i = 1; i <= 60; i += 1) (await stage.dial(server)).abort();
    assert.deepEqual(told(), [
      [1, 0],
      [60, 0],
    ]);
    await stage.clock.advance(999);
    assert.equal(kept.lines.length, 2);
    await stage.clock.advance(1);
    assert.deepEqual(told().slice(2), [[1, 58]]);
    for (let i = 61; i <= 63; i += 1) (await stage.dial(server)).abort();
    await stage.clock.advance(1_000);
    assert.deepEqual(told().slice(3), [[1, 3]]);
    // After a second without one it is news again.
    await stage.clock.advance(2_000);
    (await stage.dial(server)).abort();
    assert.deepEqual(told().slice(4), [[64, 0]]);
    (await stage.dial(server)).abort();
    await stage.end(server);
    assert.deepEqual(told().slice(5), [[64, 1]], 'what is left is told at the end');
    assert.equal(server.status().errors, 65);
  });

  test('an error that can’t be read is one all the same, in the log and in the lines of verbose', async () => {
    const stage = new Stage();
    const kept = keepLines();
    const lines: string[] = [];
    const handler = (): void => {
      throw Object.assign(new Error('x'), { message: Object.create(null) as string });
    };
    const options = { logger: kept.logger, verbose: true, log: (text: string): void => void lines.push(text) };
    const server = await stage.serve(handler, options);
    const client = await stage.dial(server);
    await stage.clock.settle();
    assert.equal(kept.said('handler failed').length, 1);
    assert.equal(kept.said('connection closed').length, 1);
    assert.match(lines.at(-1) ?? '', /closed: aborted: what it says could not be read;/u);
    assert.equal(server.status().errors, 1);
    await stage.end(server, client);
  });

  test('the lines of verbose have no secrets', async () => {
    const stage = new Stage();
    const lines: string[] = [];
    const handler = (): void => {
      throw new Error('can’t reach http://bob:hunter2@db/x');
    };
    const server = await stage.serve(handler, { verbose: true, log: (text) => void lines.push(text) });
    const client = await stage.dial(server);
    await stage.clock.settle();
    assert.match(lines.join('\n'), /can’t reach http:\/\/\*{3}@db\/x/u);
    assert.doesNotMatch(lines.join('\n'), /hunter2/u);
    await stage.end(server, client);
  });

  test('errors of ever new kinds are bounded, and the rest counted', async () => {
    const stage = new Stage();
    const kept = keepLines('warn');
    const word = (id: number): string => String.fromCharCode(97 + Math.floor(id / 26), 97 + (id % 26));
    const server = await stage.serve(
      (_conn: Connection, { id }: Context) => {
        throw new Error(`kind ${word(id)}`);
      },
      { logger: kept.logger },
    );
    for (let i = 0; i < 100; i += 1) (await stage.dial(server)).abort();
    assert.equal(kept.lines.length, 32);
    await stage.clock.advance(1_000);
    assert.deepEqual(kept.said('further errors'), [{ repeated: 68 }]);
    assert.equal(kept.lines.length, 33);
    await stage.end(server);
  });

  test('refusals are told by their kind, the same ones counted', async () => {
    const stage = new Stage();
    const kept = keepLines();
    const server = await stage.serve(echo, { logger: kept.logger, deny: ['192.0.2.0/24'] });
    for (let i = 0; i < 20; i += 1) (await stage.dial(server, '192.0.2.9').catch(() => null))?.abort();
    await stage.clock.advance(1_000);
    const lines = kept.said('connection refused');
    assert.deepEqual(
      lines.map(({ peer: _, ...rest }) => rest),
      [{ refusal: 'denied' }, { refusal: 'denied', repeated: 19 }],
    );
    assert.match(String(lines[0]?.['peer']), /^192\.0\.2\.9:\d+$/u);
    await stage.end(server);
  });

  test('a connection that is given away has its line then', async () => {
    const stage = new Stage();
    const kept = keepLines();
    let own: Connection | null = null;
    const server = await stage.serve(
      (conn: Connection, context: Context) => {
        own = context.server.detach(conn);
      },
      { logger: kept.logger },
    );
    const client = await stage.dial(server);
    await stage.clock.settle();
    assert.deepEqual(
      kept.lines.map(({ message, fields }) => [message, fields['conn'], fields['reason']]),
      [['connection given away', 1, 'detached']],
    );
    (own as Connection | null)?.abort();
    await stage.end(server, client);
    assert.equal(kept.lines.length, 1);
  });

  test('without a logger context.log is the one silent logger, and with one nothing is made for who does not ask', async () => {
    const stage = new Stage();
    const logs: Logger[] = [];
    const silent = await stage.serve({ open: (_conn, context) => void logs.push(context.log, context.log) });
    const clients = [await stage.dial(silent), await stage.dial(silent)];
    assert.ok(logs.length === 4 && logs.every((log) => log === silentLogger));
    assert.equal(silentLogger.child({ a: 1 }), silentLogger);
    assert.equal(silentLogger.isLevelEnabled('fatal'), false);
    await stage.end(silent, ...clients);

    const kept = keepLines();
    const asked: Logger[] = [];
    const handler = {
      open: (_conn: Connection, context: Context) => void (context.id === 2 && asked.push(context.log, context.log)),
    };
    const server = await stage.serve(handler, { logger: kept.logger });
    const guests = [await stage.dial(server), await stage.dial(server), await stage.dial(server)];
    assert.equal(kept.children, 1);
    assert.ok(asked[0] !== undefined && asked[0] === asked[1], 'made once');
    await stage.end(server, ...guests);
  });

  test('accessLog: false leaves out the lines of connections, and so does a level above info', async () => {
    for (const [least, accessLog] of [
      ['trace', false],
      ['warn', true],
    ] as const) {
      const stage = new Stage();
      const kept = keepLines(least);
      const server = await stage.serve(echo, { logger: kept.logger, accessLog });
      (await stage.dial(server)).abort();
      await stage.end(server);
      assert.deepEqual(kept.lines, []);
      assert.equal(server.status().closed, 1);
    }
  });

  test('a logger that throws disturbs no connection, and is told once until it writes again', async () => {
    const stage = new Stage();
    const kept = keepLines();
    let broken = true;
    const logger: Logger = {
      ...kept.logger,
      info: (fields: object | string, message?: string) => {
        if (broken) throw new Error('disk full');
        kept.logger.info(fields as object, message);
      },
    };
    const errors: unknown[] = [];
    const server = await stage.serve(echo, { logger, onError: (error) => errors.push(error) });
    for (let i = 0; i < 3; i += 1) (await stage.dial(server)).abort();
    await stage.clock.settle();
    assert.deepEqual(errors.map(String), ['Error: disk full']);
    broken = false;
    (await stage.dial(server)).abort();
    await stage.clock.settle();
    assert.equal(kept.said('connection closed').length, 1);
    assert.deepEqual(server.status().reasons, { reset: 4 });
    await stage.end(server);
  });

  test('the lines of verbose go to it at debug, where there is nothing else for them', async () => {
    const stage = new Stage();
    const kept = keepLines();
    const server = await stage.serve(echo, { logger: kept.logger, verbose: 'me' });
    (await stage.dial(server)).abort();
    await stage.end(server);
    const lines = kept.lines.filter(({ level }) => level === 'debug').map(({ message }) => message);
    assert.match(lines[0] ?? '', /^\[me\] waiting for connections/u);
    assert.equal(lines.length, 4);
  });

  test('a logger of pino’s is one; what is none is told', () => {
    const logger: Logger = pino({ level: 'silent' });
    createServer(echo, { port: 0, logger });
    for (const wrong of [console, {}, 'pino', null])
      assert.throws(() => createServer(echo, { port: 0, logger: wrong as never }), {
        code: 'ERR_PORTSIDE_OPTIONS',
        message: /logger must be a logger, as pino makes them/u,
      });
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RelayedLines } from '../../src/parallel/log-relay.ts';
import { LogRelay } from '../../src/parallel/log-relay.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { keepLines } from '../server/log-lines.ts';
import { anyWay, dial, eventually, leavesNoThread, startOn, worker } from './support.ts';

leavesNoThread();

test('the log of workers comes to the parent with the index of the worker, those of connections and what handlers write', async () => {
  const kept = keepLines('info');
  const server = await startOn(anyWay, worker('logging'), { logger: kept.logger });
  const client = await dial(server);
  const peer = formatAddress(client.local);
  await client.write('hello\n');
  assert.equal(await client.readLine(), 'hello!');
  await client.close();
  await eventually(() => kept.lines.length === 2);
  const [said] = kept.said('said');
  const { worker: index, ...rest } = said!;
  assert.ok(index === 0 || index === 1);
  assert.deepEqual(rest, { conn: 1, peer, line: 'hello', bytes: '[3 bytes]', conn_: 'forged' });
  const [closed] = kept.said('connection closed');
  const { duration: _, ...line } = closed!;
  assert.deepEqual(line, { worker: index, conn: 1, peer, bytesRead: 6, bytesWritten: 7, reason: 'ended' });
});

test('an error of a handler is in the log of the parent, with its worker and peer, once', async () => {
  const kept = keepLines();
  const server = await startOn(anyWay, worker('logging'), { logger: kept.logger });
  const client = await dial(server);
  const peer = formatAddress(client.local);
  await client.write('fail\n');
  await eventually(() => kept.said('connection closed').length === 1);
  await eventually(() => kept.said('handler failed').length === 1);
  const { err, worker: index, ...rest } = kept.said('handler failed')[0] as Record<string, unknown>;
  assert.deepEqual(rest, { peer });
  assert.equal(typeof index, 'number');
  assert.equal((err as { message: string }).message, 'asked to fail');
});

const skip = anyWay.takesBack ? false : 'sockets that travel as messages can’t be handed over';
test('a connection that is handed over has a line in each worker, with its bytes there', { skip }, async () => {
  const kept = keepLines('info');
  const server = await startOn(anyWay, worker('logging'), { logger: kept.logger, dispatch: 'round-robin' });
  const client = await dial(server);
  const peer = formatAddress(client.local);
  await client.write('to 1\nhello\n');
  assert.equal(await client.readLine(), 'hello!');
  await client.close();
  await eventually(() => kept.lines.length === 3);
  const line = ({ duration: _, ...rest }: Readonly<Record<string, unknown>>): unknown => rest;
  const who = { conn: 1, peer };
  assert.deepEqual(kept.said('connection handed over').map(line), [
    { worker: 0, ...who, bytesRead: 5, bytesWritten: 0, reason: 'handed-over', to: 1 },
  ]);
  assert.deepEqual(kept.said('connection closed').map(line), [
    { worker: 1, ...who, bytesRead: 6, bytesWritten: 7, reason: 'ended' },
  ]);
});

test('a worker that ends loses none of its lines', async () => {
  const kept = keepLines();
  const server = await startOn(anyWay, worker('logging'), { logger: kept.logger, parallelism: 1 });
  const client = await dial(server);
  await client.write('die\n');
  await eventually(() => kept.said('server error').length === 1);
  const last = kept.said('last words');
  assert.deepEqual(
    last.map(({ i }) => i),
    Array.from({ length: 50 }, (_, i) => i),
  );
  client.abort();
});

test('who is refused by the parent is in the log, and accessLog: false holds in workers', async () => {
  const kept = keepLines();
  const server = await startOn(anyWay, worker('logging'), { logger: kept.logger, accessLog: false });
  const client = await dial(server);
  await client.write('hello\n');
  await client.readLine();
  await client.close();
  server.set({ deny: ['loopback'] });
  await dial(server).catch(() => {});
  await eventually(() => kept.said('connection refused').length === 1);
  assert.deepEqual(kept.said('connection closed'), []);
  assert.equal(kept.said('said').length, 1);
});

test('while the parent is behind, lines are counted instead of kept, and the count is told when it goes on', () => {
  const posted: RelayedLines[] = [];
  const before = process.listeners('exit');
  const relay = new LogRelay(3, 'info', (lines) => void posted.push(lines));
  const text = 'x'.repeat(2_000);
  for (let i = 0; i < 10_000; i += 1) relay.logger.error({ i }, text);
  const under = posted.reduce((sum, { weight }) => sum + weight, 0);
  assert.ok(under <= 8_388_608 && under > 8_000_000, String(under));
  const sent = posted.reduce((sum, { lines }) => sum + lines.length, 0);
  assert.ok(sent > 3_000 && sent < 5_000, String(sent));
  const [first] = posted;
  relay.taken(first!.weight);
  assert.deepEqual([posted.at(-1)?.lost, posted.at(-1)?.lines, posted.at(-1)?.worker], [10_000 - sent, [], 3]);
  relay.logger.error('again');
  assert.deepEqual(
    posted.at(-1)?.lines.map(({ message }) => message),
    ['again'],
  );
  for (const listener of process.listeners('exit')) if (!before.includes(listener)) process.off('exit', listener);
});

test('lines of one turn go together, and errors at once', async () => {
  const posted: RelayedLines[] = [];
  const before = process.listeners('exit');
  const relay = new LogRelay(0, 'debug', (lines) => void posted.push(lines));
  for (let i = 0; i < 5; i += 1) relay.logger.debug({ i });
  assert.equal(posted.length, 0);
  await new Promise(setImmediate);
  assert.deepEqual([posted.length, posted[0]?.lines.length], [1, 5]);
  relay.logger.info('a');
  relay.logger.fatal('b');
  assert.deepEqual(
    posted[1]?.lines.map(({ message }) => message),
    ['a', 'b'],
  );
  for (const listener of process.listeners('exit')) if (!before.includes(listener)) process.off('exit', listener);
});

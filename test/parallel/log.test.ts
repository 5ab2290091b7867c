import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { RelayedLines } from '../../src/parallel/log-relay.ts';
import { LogRelay } from '../../src/parallel/log-relay.ts';
import type { LogLevel, Logger } from '../../src/server/logger.ts';
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
  const forged = { conn_: 'forged', worker_: 'forged' };
  assert.deepEqual(rest, { conn: 1, peer, line: 'hello', bytes: '[3 bytes]', ...forged });
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

/** The relay of a worker's log, with what it has posted. */
function relayOn(t: TestContext, level: LogLevel): { relay: LogRelay; logger: Logger; posted: RelayedLines[] } {
  const posted: RelayedLines[] = [];
  const before = process.listeners('exit');
  const relay = new LogRelay(3, level, (lines) => void posted.push(lines));
  t.after(() => {
    for (const listener of process.listeners('exit')) if (!before.includes(listener)) process.off('exit', listener);
  });
  return { relay, logger: relay.logger!, posted };
}

function saidIn(posted: RelayedLines | undefined): unknown[] {
  return (posted?.lines ?? []).map((line) => (typeof line === 'string' ? line : line.message));
}

test('while the parent is behind, lines are counted instead of kept, and the count is told when it goes on', (t) => {
  const { relay, logger, posted } = relayOn(t, 'info');
  const text = 'x'.repeat(2_000);
  for (let i = 0; i < 10_000; i += 1) logger.error({ i }, text);
  const under = posted.reduce((sum, { weight }) => sum + weight, 0);
  assert.ok(under <= 8_388_608 && under > 8_000_000, String(under));
  const sent = posted.reduce((sum, { lines }) => sum + lines.length, 0);
  assert.ok(sent > 3_000 && sent < 5_000, String(sent));
  const [first] = posted;
  relay.taken(first!.weight);
  assert.deepEqual([posted.at(-1)?.lost, posted.at(-1)?.lines, posted.at(-1)?.worker], [10_000 - sent, [], 3]);
  logger.error('again');
  assert.deepEqual(saidIn(posted.at(-1)), ['again']);
});

test('no kind of line is more on its way than its weight: errors with their causes, and lines of verbose', (t) => {
  const cause = new Error('b'.repeat(500), { cause: new Error('c'.repeat(500)) });
  const error = new Error('a', { cause });
  const kinds: Record<string, (relay: LogRelay) => void> = {
    error: ({ logger }) => logger!.warn(error),
    field: ({ logger }) => logger!.warn({ error }, 'a'),
    nothing: ({ logger }) => logger!.warn({ list: Array.from({ length: 200 }, () => null) }),
    verbose: (relay) => relay.say('d'.repeat(500)),
  };
  for (const [kind, say] of Object.entries(kinds)) {
    const { relay, posted } = relayOn(t, 'info');
    for (let i = 0; i < 10; i += 1) say(relay);
    relay.flush();
    const { lines, weight } = posted[0]!;
    const size = JSON.stringify(lines).length;
    assert.ok(lines.length === 10 && size < weight * 1.5, `${kind}: ${size} characters weigh ${weight}`);
  }
});

test('lines of verbose are counted too while the parent is behind', (t) => {
  const { relay, posted } = relayOn(t, 'info');
  for (let i = 0; i < 20_000; i += 1) relay.say('d'.repeat(500));
  relay.flush();
  const [{ lines, weight, lost } = { lines: [], weight: 0, lost: 0 }] = posted;
  assert.ok(weight <= 8_388_608 && lost > 0 && lines.length + lost === 20_000, `${weight} ${lost}`);
});

test('lines of one turn go together, those of verbose in their place, and errors at once', async (t) => {
  const { relay, logger, posted } = relayOn(t, 'debug');
  for (let i = 0; i < 5; i += 1) logger.debug({ i });
  relay.say('[me 3] #1 accepted');
  assert.equal(posted.length, 0);
  await new Promise(setImmediate);
  assert.equal(posted.length, 1);
  assert.deepEqual(saidIn(posted[0]), [undefined, undefined, undefined, undefined, undefined, '[me 3] #1 accepted']);
  logger.info('a');
  logger.fatal('b');
  assert.deepEqual(saidIn(posted[1]), ['a', 'b']);
});

test('a log that throws in the parent disturbs nobody, and is told once', async () => {
  const errors: unknown[] = [];
  const lines: string[] = [];
  const log = (text: string): void => {
    lines.push(text);
    throw new Error('disk full');
  };
  const onError = (error: unknown): void => void errors.push(error);
  const server = await startOn(anyWay, worker('logging'), { verbose: true, log, onError });
  const client = await dial(server);
  await client.write('hello\n');
  assert.equal(await client.readLine(), 'hello!');
  await client.close();
  await eventually(() => lines.some((text) => text.includes('closed')));
  assert.deepEqual(errors.map(String), ['Error: disk full']);
});

test('an error of a handler that is about another connection is told with the client that was served', async () => {
  const kept = keepLines('warn');
  const server = await startOn(anyWay, worker('logging'), { logger: kept.logger });
  const client = await dial(server);
  await client.write('upstream\n');
  await eventually(() => kept.said('handler failed').length === 1);
  const [line] = kept.said('handler failed');
  assert.equal(line?.['peer'], formatAddress(client.local));
  assert.equal((line['err'] as { code: string }).code, 'ENOENT');
});

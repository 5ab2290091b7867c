import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Channel, Sink, Transport } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { secureClient, secureServer } from '../../src/transport/tls/handshake.ts';
import { certificates } from '../support/certificates.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Ear } from './memory-support.ts';
import {
  endAll,
  onEach,
  outcomeOf,
  plainPair,
  secured,
  securePair,
  serverContext,
  text,
  turns,
  until,
} from './tls-support.ts';

const pems = certificates();

leavesNothing();

function digest(chunks: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (Math.imul(i, 2_654_435_761) >>> 13) ^ i;
  return bytes;
}

/** Passes bytes from one channel to another, as `alter` has them. */
function passing(to: Channel, alter: (bytes: Buffer) => Buffer | null): Sink {
  return {
    data(bytes) {
      const passed = alter(Buffer.from(bytes));
      if (passed !== null) to.send(passed);
    },
    end: () => to.shutdown(),
    writable() {},
    close() {},
  };
}

/** Two ends under TLS with somebody between them who sees, and may change, what goes from the client to the server. */
async function tapped(transport: Transport): Promise<{
  client: Ear;
  server: Ear;
  between: { near: Channel; far: Channel };
  alter: (how: (bytes: Buffer) => Buffer | null) => void;
}> {
  const near = await plainPair(transport);
  const far = await plainPair(transport);
  let change = (bytes: Buffer): Buffer | null => bytes;
  near.server.sink = passing(far.client, (bytes) => change(bytes));
  far.client.sink = passing(near.server, (bytes) => bytes);
  near.server.flow(true);
  far.client.flow(true);
  const [server, client] = await Promise.all([
    outcomeOf(secureServer(far.server, await serverContext(), [])),
    outcomeOf(secureClient(near.client, { ca: pems.ca }, 'localhost', [])),
  ]);
  return {
    client: new Ear(secured(client)),
    server: new Ear(secured(server)),
    between: { near: near.server, far: far.client },
    alter(how) {
      change = how;
    },
  };
}

onEach('a channel under TLS', (transport) => {
  test('megabytes go both ways at once, and arrive whole', async () => {
    const { server, client } = await securePair(transport);
    const [up, down] = [noise(5_000_000), noise(7_000_000)];
    client.channel.send(up);
    server.channel.send(down);
    client.channel.shutdown();
    server.channel.shutdown();
    await until(() => server.closed !== null && client.closed !== null, 'the closes');
    assert.deepEqual([server.closed, client.closed], [{ kind: 'ended' }, { kind: 'ended' }]);
    assert.equal(digest(server.chunks), digest([up]));
    assert.equal(digest(client.chunks), digest([down]));
  });

  test('a side that does not read makes the other wait, and takes no more than its buffers hold meanwhile', async () => {
    const { server, client } = await securePair(transport);
    server.channel.flow(false);
    await turns();
    const before = server.bytes;
    const chunk = noise(256 * 1024);
    let sent = 0;
    // The kernel's buffers take some megabytes.
    for (let quiet = 0; quiet < 20;) {
      assert.ok(sent < 256 * 1024 * 1024, 'it takes any amount');
      if (client.channel.queued === 0) {
        client.channel.send(chunk);
        sent += chunk.length;
        quiet = 0;
      } else quiet += 1;
      await new Promise(setImmediate);
    }
    assert.ok(client.channel.queued > 0);
    assert.equal(server.bytes, before, 'data with flow off');
    client.channel.wantWritable();
    server.channel.flow(true);
    await until(() => client.heard.includes('writable'), 'writable');
    await until(() => server.bytes === sent, 'all of it');
    await endAll(server, client);
  });

  test('a piece that goes out bit by bit shows progress while it counts as queued', async () => {
    const { server, client } = await securePair(transport);
    server.channel.flow(false);
    const bytes = noise(30_000_000);
    client.channel.send(bytes);
    await turns(100);
    const { queued, progress } = client.channel;
    assert.equal(queued, bytes.length);
    await turns();
    assert.equal(client.channel.progress, progress, 'nobody reads');
    server.channel.flow(true);
    await until(() => client.channel.progress !== progress, 'progress');
    assert.equal(client.channel.queued, queued);
    await endAll(server, client);
  });

  test('a flush with megabytes queued sends all, then ends in order, though the other reads late', async () => {
    const { server, client } = await securePair(transport);
    client.channel.flow(false);
    const bytes = noise(6_000_000);
    server.channel.send(bytes);
    server.channel.destroy('flush');
    await turns();
    assert.equal(server.closed, null);
    client.channel.flow(true);
    await until(() => client.end_, 'the end');
    assert.equal(digest(client.chunks), digest([bytes]));
    await until(() => server.closed !== null, 'the close');
    assert.deepEqual(server.closed, { kind: 'closed' });
    client.channel.shutdown();
    await until(() => client.closed !== null, 'the close of the other');
    assert.deepEqual(client.closed, { kind: 'ended' });
  });

  test('a record that was changed on the way fails both sides with ERR_PORTSIDE_TLS, and nothing of it is told', async () => {
    const { server, client, alter, between } = await tapped(transport);
    client.channel.send(text('good'));
    await until(() => server.text === 'good', 'the good bytes');
    alter((bytes) => {
      const last = bytes.length - 1;
      bytes[last] = (bytes[last] ?? 0) ^ 1;
      return bytes;
    });
    client.channel.send(text('bad'));
    await until(() => server.closed !== null && client.closed !== null, 'the closes');
    assert.equal(server.text, 'good');
    assert.equal(server.closed?.kind, 'failed');
    assert.equal(server.code, 'ERR_PORTSIDE_TLS');
    assert.ok(server.closed?.kind === 'failed' && /changed on the way/u.test(server.closed.error.message));
    // The alert tells the client, unless the connection is gone before it is read.
    assert.ok(client.code === 'ERR_PORTSIDE_TLS' || client.closed?.kind === 'reset', client.closed?.kind);
    await endAll(new Ear(between.near, false), new Ear(between.far, false));
  });

  test('a connection that is cut without a close_notify is told as an end: lengths have to be in the protocol', async () => {
    const { server, client, between } = await tapped(transport);
    client.channel.send(text('half a mess'));
    await until(() => server.bytes > 0, 'the bytes');
    between.far.shutdown();
    await until(() => server.end_, 'the end');
    server.channel.shutdown();
    await until(() => server.closed !== null, 'the close');
    assert.deepEqual(server.closed, { kind: 'ended' });
    await endAll(client, new Ear(between.near, false));
  });

  test('a reset is told as a reset, behind what came before it', async () => {
    const { server, client } = await securePair(transport);
    client.channel.set({ kind: 'noDelay', on: true });
    client.channel.send(text('last words'));
    await until(() => client.channel.queued === 0, 'the output to leave');
    client.channel.destroy('reset');
    await until(() => server.closed !== null && client.closed !== null, 'the closes');
    assert.equal(server.text, 'last words');
    assert.deepEqual(client.closed, { kind: 'aborted' });
    assert.equal(server.closed?.kind, 'reset');
    assert.equal(server.code, 'ECONNRESET');
    assert.equal(server.end_, false);
  });

  test('options and addresses are those of what is below', async () => {
    const { client, server } = await plainPair(transport);
    const expected = [server.local, server.remote];
    const [one, two] = await Promise.all([
      outcomeOf(secureServer(server, await serverContext(), [])),
      outcomeOf(secureClient(client, { ca: pems.ca }, 'localhost', [])),
    ]);
    const channel = secured(one);
    assert.deepEqual([channel.local, channel.remote], expected);
    channel.set({ kind: 'noDelay', on: true });
    channel.set({ kind: 'noDelay', on: false });
    channel.set({ kind: 'keepAlive', on: true, delay: 60_000 });
    channel.ref(false);
    channel.ref(true);
    await endAll(channel, secured(two));
    assert.deepEqual([channel.local, channel.remote], expected);
  });
});

test('a close_notify goes out before the FIN, though records of the handshake are still on their way', async () => {
  const context = await serverContext({ maxVersion: 'TLSv1.2' });
  const taps = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const near = await plainPair(nodeTransport);
      const far = await plainPair(nodeTransport);
      const seen: Buffer[] = [];
      near.server.sink = passing(far.client, (bytes) => bytes);
      far.client.sink = passing(near.server, (bytes) => {
        seen.push(bytes);
        return bytes;
      });
      for (const channel of [near.server, far.client]) channel.flow(true);
      return { near, far, seen };
    }),
  );
  // Each is ended in the moment in which another one is done: with nothing between it and the last of its own records.
  let former: Channel | null = null;
  const clients = taps.map(async ({ near, far }) => {
    void secureServer(far.server, context, []).result.then((channel) => {
      former?.destroy('flush');
      former = channel;
    });
    return new Ear(secured(await outcomeOf(secureClient(near.client, { ca: pems.ca }, 'localhost', []))));
  });
  const ears = await Promise.all(clients);
  await until(() => ears.filter(({ end_ }) => end_).length === taps.length - 1, 'the ends');
  (former as unknown as Channel).destroy('flush');
  await until(() => ears.every(({ end_ }) => end_), 'the last end');
  for (const { seen } of taps) {
    const bytes = Buffer.concat(seen);
    let kind = 0;
    for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) kind = bytes[at] ?? 0;
    assert.equal(kind, 21, 'the last record of the server is an alert');
  }
  await endAll(...ears, ...taps.flatMap(({ near, far }) => [new Ear(near.server, false), new Ear(far.client, false)]));
});

test('what a peer sends behind its close_notify is ignored', async () => {
  const { server, client, between } = await tapped(nodeTransport);
  client.channel.send(text('all'));
  client.channel.shutdown();
  await until(() => server.end_, 'the end');
  between.far.send(text('garbage behind the end'));
  await turns();
  server.channel.send(text('reply'));
  server.channel.shutdown();
  await until(() => client.text === 'reply', 'the reply');
  assert.equal(server.text, 'all');
  await endAll(server, client, new Ear(between.near, false), new Ear(between.far, false));
});

test('pieces of any size, late and joined, make the same bytes', async () => {
  const network = memoryNetwork({ seed: 5 });
  network.faults({ split: 0.9, coalesce: 0.3 });
  const { server, client } = await securePair(network.transport);
  const bytes = noise(500_000);
  for (let at = 0; at < bytes.length; at += 7_001) client.channel.send(bytes.subarray(at, at + 7_001));
  client.channel.shutdown();
  await until(() => server.end_, 'the end');
  assert.equal(digest(server.chunks), digest([bytes]));
  server.channel.shutdown();
  await until(() => server.closed !== null && client.closed !== null, 'the closes');
});

/**
 * A short life of the core with a bit of everything, for slow checkers: echoes of all sizes, output that the kernel does not take at
 * once, both kinds of sockets, each way to end, descriptors that come and go, and a thread that is given connections and ends.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Acceptor, BindTarget, Channel, Transport } from '../src/transport/contract.ts';
import { nativeTransport } from '../src/transport/native/transport.ts';

const bind = { backlog: 64, reusePort: false, reuseAddress: undefined };
const loopback: BindTarget = { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false };
const transport = nativeTransport();

function dial({ address }: Acceptor, over: Transport = transport): Promise<Channel> {
  if (address.family === 'unix') return over.dial({ kind: 'unix', path: address.path }).result;
  assert.ok(address.family !== 'memory');
  const { host, port } = address;
  return over.dial({ kind: 'tcp', host, port, localHost: undefined, localPort: undefined }).result;
}

function taken(acceptor: Acceptor): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const ready = (): void => {
      const channel = acceptor.take();
      if (channel === null) return;
      acceptor.want(false);
      resolve(channel);
    };
    acceptor.watcher = { ready, trouble: reject };
    acceptor.want(true);
  });
}

/** `keeps`: what it reads is in memory of its own. */
function echo(channel: Channel, keeps: boolean): void {
  const data = (bytes: Uint8Array): void => void channel.send(bytes);
  channel.sink = { keeps, data, end: () => channel.shutdown(), writable() {}, close() {} };
  channel.flow(true);
}

/** Sends, reads as much back, and ends that way. */
function talk(channel: Channel, size: number, how: 'flush' | 'drop' | 'reset'): Promise<void> {
  return new Promise((resolve) => {
    let left = size;
    const data = (bytes: Uint8Array): void => {
      left -= bytes.length;
      if (left === 0) channel.destroy(how);
    };
    channel.sink = { data, end() {}, writable() {}, close: () => resolve() };
    channel.flow(true);
    channel.send(new Uint8Array(size).fill(size));
  });
}

for (const target of [loopback, { kind: 'unix', path: `\0portside exercise ${process.pid}` }] as const) {
  const acceptor = await transport.listen(target, bind);
  for (const size of [1, 5_000, 20_000, 3_000_000]) {
    for (const how of ['flush', 'drop', 'reset'] as const) {
      const [client, server] = await Promise.all([dial(acceptor), taken(acceptor)]);
      assert.ok(client.local !== undefined && server.remote !== undefined);
      echo(server, how !== 'drop');
      await talk(client, size, how);
    }
  }
  // Dropped with output that nobody reads, and let go with what was not sent.
  const [client, server] = await Promise.all([dial(acceptor), taken(acceptor)]);
  for (let i = 0; i < 200; i += 1) client.send(new Uint8Array(10_000));
  await new Promise((resolve) => setImmediate(resolve));
  client.destroy('drop');
  const released = server.release();
  assert.ok(released !== null);
  transport.adopt(released).destroy('reset');
  acceptor.close();
}

const acceptor = await transport.listen(loopback, bind);
const passage = transport.passages?.passage(8) ?? assert.fail('no passages');
const worker = new Worker(new URL('../test/transport/workers/echo.ts', import.meta.url), {
  workerData: { ticket: passage.ticket, burst: 1 },
  transferList: [...passage.transfer],
});
await once(worker, 'message');
const clients: Channel[] = [];
for (let id = 0; id < 4; id += 1) {
  const [client, server] = await Promise.all([dial(acceptor), taken(acceptor)]);
  assert.ok(passage.give(server, id));
  clients.push(client);
}
await Promise.all(clients.map((client, i) => talk(client, 1_000 * i + 1, 'reset')));
await worker.terminate();
assert.deepEqual(passage.end(), []);

// What nobody takes comes back, with what was read of it.
const nobody = transport.passages?.passage(1) ?? assert.fail('no passages');
const [client, server] = await Promise.all([dial(acceptor), taken(acceptor)]);
server.flow(true);
server.flow(false);
client.send(new Uint8Array(1_000));
await new Promise((resolve) => setTimeout(resolve, 50));
assert.ok(nobody.give(server, 1));
for (const { channel } of nobody.end()) channel?.destroy('drop');
client.destroy('drop');
acceptor.close();

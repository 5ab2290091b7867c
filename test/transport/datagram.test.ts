import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';
import type { TcpAddress } from '../../src/transport/address.ts';
import { Datagrams } from '../../src/transport/node/datagram.ts';
import type { DatagramBind } from '../../src/transport/node/datagram.ts';
import { watchLeaks } from '../support/leaks.ts';

interface Heard {
  readonly socket: Datagrams;
  readonly troubles: string[];
  next(): Promise<{ text: string; remote: TcpAddress }>;
  readonly closed: Promise<void>;
}

async function open(options: Partial<DatagramBind> = {}): Promise<Heard> {
  const socket = await Datagrams.bind({ host: '127.0.0.1', port: 0, ...options });
  const queue: { text: string; remote: TcpAddress }[] = [];
  const waiting: ((message: { text: string; remote: TcpAddress }) => void)[] = [];
  const troubles: string[] = [];
  const closed = new Promise<void>((resolve) => {
    socket.sink = {
      message(bytes, remote) {
        const message = { text: Buffer.from(bytes).toString(), remote };
        const taker = waiting.shift();
        if (taker === undefined) queue.push(message);
        else taker(message);
      },
      trouble: ({ code }) => void troubles.push(code),
      close: resolve,
    };
  });
  const next = (): Promise<{ text: string; remote: TcpAddress }> => {
    const message = queue.shift();
    return message === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(message);
  };
  return { socket, troubles, next, closed };
}

function send(from: Datagrams, bytes: Uint8Array, to: TcpAddress): Promise<PortsideError | null> {
  return new Promise((resolve) => {
    from.send(bytes, to.port, to.host, resolve);
  });
}

/** Sockets of one test, closed after it and checked for leaks. */
function udp(body: (make: typeof open) => Promise<void>): () => Promise<void> {
  return async () => {
    const noLeaks = watchLeaks();
    const opened: Heard[] = [];
    try {
      await body(async (options) => {
        const heard = await open(options);
        opened.push(heard);
        return heard;
      });
    } finally {
      for (const { socket } of opened) socket.close();
      await Promise.all(opened.map(({ closed }) => closed));
      await noLeaks();
    }
  };
}

describe('datagrams over node:dgram', () => {
  for (const host of ['127.0.0.1', '::1']) {
    test(
      `a datagram arrives whole, with the sender's address, over ${host}; an empty one too`,
      udp(async (make) => {
        const one = await make({ host });
        const two = await make({ host });
        assert.equal(await send(one.socket, Buffer.from('ping'), two.socket.address), null);
        assert.deepEqual(await two.next(), { text: 'ping', remote: one.socket.address });
        assert.equal(await send(two.socket, new Uint8Array(0), one.socket.address), null);
        assert.deepEqual(await one.next(), { text: '', remote: two.socket.address });
        assert.equal(one.socket.queued, 0);
      }),
    );
  }

  test(
    'IPv4 through a socket for both families is told as IPv4',
    udp(async (make) => {
      const both = await make({ host: '::' });
      const four = await make();
      await send(four.socket, Buffer.from('x'), { family: 'ipv4', host: '127.0.0.1', port: both.socket.address.port });
      assert.deepEqual((await both.next()).remote, four.socket.address);
    }),
  );

  test(
    'a port that is taken is EADDRINUSE',
    udp(async (make) => {
      const { socket } = await make();
      await assert.rejects(
        Datagrams.bind({ host: '127.0.0.1', port: socket.address.port }),
        (error) => isPortsideError(error) && error.code === 'EADDRINUSE' && error.op === 'listen',
      );
    }),
  );

  test(
    'one that is too long is EMSGSIZE, for the callback or else as trouble, and the socket goes on',
    udp(async (make) => {
      const one = await make();
      const two = await make();
      const long = new Uint8Array(70_000);
      assert.equal((await send(one.socket, long, two.socket.address))?.code, 'EMSGSIZE');
      assert.deepEqual(one.troubles, []);
      one.socket.send(long, two.socket.address.port, two.socket.address.host);
      await send(one.socket, Buffer.from('short'), two.socket.address);
      assert.equal((await two.next()).text, 'short');
      assert.deepEqual(one.troubles, ['EMSGSIZE']);
    }),
  );

  test(
    'sending to a port where nobody listens hurts nobody',
    udp(async (make) => {
      const gone = await Datagrams.bind({ host: '127.0.0.1', port: 0 });
      const { address } = gone;
      gone.close();
      const one = await make();
      const two = await make();
      for (let i = 0; i < 3; i++) await send(one.socket, Buffer.from('anybody?'), address);
      await send(one.socket, Buffer.from('x'), two.socket.address);
      assert.equal((await two.next()).text, 'x');
    }),
  );

  test(
    'close is idempotent, told once, and what comes after it is an error that says so',
    udp(async (make) => {
      const { socket, closed } = await make();
      const { address } = socket;
      socket.close();
      socket.close();
      await closed;
      assert.equal(socket.closed, true);
      assert.deepEqual(socket.address, address);
      assert.equal((await send(socket, Buffer.from('x'), address))?.code, 'ERR_PORTSIDE_CLOSED');
      socket.send(Buffer.from('x'), address.port, address.host);
      socket.ref(false);
      assert.equal(socket.queued, 0);
      assert.throws(() => socket.ttl(3), { code: 'ERR_PORTSIDE_CLOSED' });
    }),
  );

  test(
    'options reach the kernel, and wrong ones keep its code',
    udp(async (make) => {
      const { socket } = await make();
      socket.ttl(9);
      socket.broadcast(true);
      socket.multicastTtl(2);
      socket.multicastLoopback(true);
      socket.ref(true);
      socket.setBuffers({ receive: 32_768, send: 32_768 });
      const { receive, send: out } = socket.buffers();
      assert.ok(receive >= 32_768 && out >= 32_768);
      assert.throws(
        () => socket.join('10.0.0.1'),
        (error) => isPortsideError(error) && error.op === 'join' && error.code === 'EINVAL',
      );
    }),
  );

  test(
    'multicast over the loopback reaches who joined, and not who left',
    udp(async (make) => {
      const group = '239.255.77.1';
      const one = await make({ host: '0.0.0.0' });
      const sender = await make({ host: '0.0.0.0' });
      sender.socket.multicastInterface('127.0.0.1');
      one.socket.join(group, '127.0.0.1');
      const to: TcpAddress = { family: 'ipv4', host: group, port: one.socket.address.port };
      await send(sender.socket, Buffer.from('all'), to);
      assert.equal((await one.next()).text, 'all');
      one.socket.leave(group, '127.0.0.1');
      await send(sender.socket, Buffer.from('lost'), to);
      await send(sender.socket, Buffer.from('direct'), { ...to, host: '127.0.0.1' });
      assert.equal((await one.next()).text, 'direct');
    }),
  );

  test(
    'sockets that say reusePort share a port',
    udp(async (make) => {
      const one = await make({ reusePort: true });
      const two = await make({ reusePort: true, port: one.socket.address.port });
      assert.deepEqual(two.socket.address, one.socket.address);
    }),
  );
});

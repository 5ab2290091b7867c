import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Server } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { plainBind, staged } from '../conformance/stage.ts';
import type { Make } from '../conformance/stage.ts';
import { tcpBackend } from '../conformance/backends.ts';
import { bytesOf } from '../conformance/recorder.ts';

const make: Make = () => tcpBackend(nodeTransport, 'node');

/** A program that serves one connection on the listening socket that it got as descriptor 3, as from a supervisor. */
const HEIR = `
import { nodeTransport } from ${JSON.stringify(new URL('../../src/transport/node/transport.ts', import.meta.url).href)};
const acceptor = await nodeTransport.listen({ kind: 'fd', fd: 3 }, { backlog: 4, reusePort: false, reuseAddress: undefined });
acceptor.watcher = {
  ready() {
    const channel = acceptor.take();
    acceptor.close();
    channel.sink = { data: (bytes) => channel.send(bytes), end: () => channel.shutdown(), writable() {}, close() {} };
    channel.flow(true);
  },
  trouble(error) { throw error; },
};
acceptor.want(true);
`;

/** The descriptor of a listening server, which Node keeps to itself. */
function descriptorOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

describe('the node transport alone', () => {
  test(
    'listens on a descriptor that the process was started with, and ends when it is closed',
    staged(make, async (stage) => {
      const parent = new Server();
      await new Promise<void>((resolve) => {
        parent.listen(0, '127.0.0.1', resolve);
      });
      const { port } = parent.address() as AddressInfo;
      const child = spawn(process.execPath, ['--input-type=module', '--no-warnings', '-e', HEIR], {
        stdio: ['ignore', 'ignore', 'inherit', descriptorOf(parent)],
      });
      const ended = new Promise((resolve) => {
        child.on('close', resolve);
      });
      parent.close();
      const client = await stage.dial({ family: 'ipv4', host: '127.0.0.1', port });
      client.channel.flow(true);
      client.channel.send(bytesOf('through the descriptor'));
      client.channel.shutdown();
      await stage.closed(client);
      assert.deepEqual(client.log, ['data:through the descriptor', 'end', 'close:ended']);
      assert.equal(await ended, 0);
    }),
  );

  test('a descriptor that can not listen, or is none, is an error with a sentence', async () => {
    const file = openSync('/dev/null', 'r');
    for (const fd of [file, 9_999]) {
      await assert.rejects(
        nodeTransport.listen({ kind: 'fd', fd }, plainBind),
        (error) => isPortsideError(error) && error.local === `fd://${fd}` && error.message.includes(`fd://${fd}`),
      );
    }
    closeSync(file);
    assert.throws(
      () => nodeTransport.adopt({ kind: 'fd', fd: 9_999, unix: false, unread: [], ended: false }),
      (error) => isPortsideError(error) && error.op === 'adopt',
    );
  });

  test('reuseAddress: false and shared Unix paths are refused with a reason', async () => {
    const tcp = { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false } as const;
    for (const [target, options] of [
      [tcp, { ...plainBind, reuseAddress: false }],
      [
        { kind: 'unix', path: '/tmp/never-made.sock' },
        { ...plainBind, reusePort: true },
      ],
    ] as const) {
      await assert.rejects(
        nodeTransport.listen(target, options),
        (error) =>
          isPortsideError(error) && error.code === 'ERR_PORTSIDE_UNSUPPORTED' && /SO_REUSE/u.test(error.message),
      );
    }
  });

  test(
    'a released socket carries no listener of ours, and a fresh one was not read from',
    staged(make, async (stage) => {
      const { server, client } = await stage.pair();
      client.channel.send(bytesOf('unread'));
      await stage.still();
      const released = server.release();
      assert.ok(released.kind === 'socket');
      const socket = released.socket as Socket;
      for (const event of ['data', 'error', 'close', 'drain', 'finish'])
        assert.equal(socket.listenerCount(event), 0, event);
      assert.equal(socket.bytesRead, 0);
      assert.equal(socket.isPaused(), true);
      stage.record(stage.transport.adopt(released));
    }),
  );
});

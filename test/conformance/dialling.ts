import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import { formatAddress } from '../../src/transport/address.ts';
import type { BindTarget, DialTarget } from '../../src/transport/contract.ts';
import { bytesOf } from './recorder.ts';
import { staged } from './stage.ts';
import type { Make, Stage } from './stage.ts';

/** The kinds of target that this backend is asked for here. */
function kindOf(stage: Stage): BindTarget['kind'] {
  return stage.backend.target().kind;
}

/** The address of a port that nobody listens on any more. */
async function deserted(stage: Stage): Promise<DialTarget> {
  const acceptor = await stage.listen();
  acceptor.close();
  return stage.backend.dialTarget(acceptor.address);
}

/** Promises about connecting, and about addresses. */
export function dialling(make: Make): void {
  describe('dialling', () => {
    test(
      'nobody there is an error with the system code and a sentence',
      staged(make, async (stage) => {
        const target = await deserted(stage);
        const error = await stage.refused(stage.transport.dial(target).result);
        assert.equal(error.code, kindOf(stage) === 'unix' && !stage.transport.flags.memory ? 'ENOENT' : 'ECONNREFUSED');
        assert.equal(error.op, 'connect');
        assert.ok(error.remote !== undefined && error.message.includes(error.remote), error.message);
      }),
    );

    test(
      'kinds of address that the backend lacks are refused',
      staged(make, async (stage) => {
        const { flags } = stage.transport;
        const targets: [boolean, DialTarget][] = [
          [flags.memory, { kind: 'memory', name: 'nowhere' }],
          [flags.unix, { kind: 'unix', path: '/nowhere' }],
          [flags.tcp, { kind: 'tcp', host: '127.0.0.1', port: 1, localHost: undefined, localPort: undefined }],
        ];
        for (const [able, target] of targets) {
          if (able) continue;
          assert.equal((await stage.refused(stage.transport.dial(target).result)).code, 'ERR_PORTSIDE_UNSUPPORTED');
        }
        if (!flags.memory) {
          const listening = stage.transport.listen(
            { kind: 'memory', name: 'x' },
            { backlog: 1, reusePort: false, reuseAddress: undefined },
          );
          assert.equal((await stage.refused(listening)).code, 'ERR_PORTSIDE_UNSUPPORTED');
        }
      }),
    );

    test(
      'a dial that is called off at once is an error, and leaves nothing behind',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        const dial = stage.transport.dial(stage.backend.dialTarget(acceptor.address));
        dial.cancel();
        dial.cancel();
        assert.equal((await stage.refused(dial.result)).code, 'ERR_PORTSIDE_ABORTED');
      }),
    );

    test(
      'a dial that is called off when the connection may be made already closes it',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        for (let turns = 0; turns < 4; turns++) {
          const dial = stage.transport.dial(stage.backend.dialTarget(acceptor.address));
          for (let i = 0; i < turns; i++) {
            await new Promise((resolve) => {
              setImmediate(resolve);
            });
          }
          dial.cancel();
          const outcome = await stage.settled(
            dial.result.then(
              (channel) => channel,
              (error: unknown) => systemCode(error) ?? String(error),
            ),
          );
          if (typeof outcome === 'string') assert.equal(outcome, 'ERR_PORTSIDE_ABORTED');
          else stage.record(outcome);
        }
      }),
    );

    test(
      'calling off a dial that failed or succeeded does nothing',
      staged(make, async (stage) => {
        const failing = stage.transport.dial(await deserted(stage));
        const { code } = await stage.refused(failing.result);
        failing.cancel();
        assert.equal((await stage.refused(failing.result)).code, code);
        const acceptor = await stage.listen();
        const dial = stage.transport.dial(stage.backend.dialTarget(acceptor.address));
        const server = await stage.accept(acceptor);
        const client = stage.record(await stage.settled(dial.result));
        dial.cancel();
        server.channel.flow(true);
        client.channel.send(bytesOf('alive'));
        await stage.received(server, 5);
      }),
    );

    test(
      'both sides know both addresses, and keep them after the close',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        const client = await stage.dial(acceptor.address);
        const server = await stage.accept(acceptor);
        assert.deepEqual(client.channel.remote, acceptor.address);
        assert.deepEqual(server.channel.local, acceptor.address);
        assert.equal(formatAddress(server.channel.remote), formatAddress(client.channel.local));
        const known = [client.channel.local, client.channel.remote, server.channel.local, server.channel.remote];
        client.channel.destroy('reset');
        server.channel.flow(true);
        server.channel.shutdown();
        await stage.closed(client, server);
        assert.deepEqual(
          [client.channel.local, client.channel.remote, server.channel.local, server.channel.remote],
          known,
        );
      }),
    );

    test(
      'the remote address is there after a close by the peer, though nobody asked before',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        const expected = client.channel.local;
        client.channel.destroy('reset');
        server.channel.flow(true);
        server.channel.shutdown();
        await stage.closed(client, server);
        assert.deepEqual(server.channel.remote, expected);
      }),
    );

    test(
      'IPv6, and IPv4 through a socket for both, are told as what they are',
      staged(make, async (stage) => {
        if (kindOf(stage) !== 'tcp') return;
        const six = await stage.listen({}, { kind: 'tcp', host: '::1', port: 0, ipv6Only: false });
        assert.equal(six.address.family, 'ipv6');
        const client = await stage.dial(six.address);
        const server = await stage.accept(six);
        for (const { channel } of [client, server]) {
          assert.equal(channel.local.family, 'ipv6');
          assert.equal(channel.remote.family, 'ipv6');
          assert.equal(formatAddress(channel.local).startsWith('[::1]:'), true);
        }
        if (stage.transport.flags.memory) return;
        const both = await stage.listen({}, { kind: 'tcp', host: '::', port: 0, ipv6Only: false });
        assert.ok(both.address.family === 'ipv6' && both.address.host === '::');
        const four = await stage.dial({ family: 'ipv4', host: '127.0.0.1', port: both.address.port });
        const mapped = await stage.accept(both);
        assert.deepEqual(mapped.channel.remote, four.channel.local);
        assert.deepEqual(mapped.channel.local, { family: 'ipv4', host: '127.0.0.1', port: both.address.port });
      }),
    );

    test(
      'the local host and port of a dial can be chosen',
      staged(make, async (stage) => {
        if (kindOf(stage) !== 'tcp') return;
        const acceptor = await stage.listen();
        assert.ok(acceptor.address.family === 'ipv4');
        const { host, port } = acceptor.address;
        const probe = await stage.listen();
        assert.ok(probe.address.family === 'ipv4');
        const free = probe.address.port;
        probe.close();
        const { result } = stage.transport.dial({ kind: 'tcp', host, port, localHost: '127.0.0.1', localPort: free });
        const server = await stage.accept(acceptor);
        const client = stage.record(await stage.settled(result));
        assert.deepEqual(client.channel.local, { family: 'ipv4', host: '127.0.0.1', port: free });
        assert.deepEqual(server.channel.remote, client.channel.local);
        if (stage.transport.flags.memory) return;
        const away = stage.transport.dial({ kind: 'tcp', host, port, localHost: '203.0.113.7', localPort: undefined });
        assert.equal((await stage.refused(away.result)).code, 'EADDRNOTAVAIL');
      }),
    );

    test(
      'a thousand connections each get their own bytes back',
      staged(make, async (stage) => {
        const acceptor = await stage.listen({ backlog: 1000 });
        acceptor.watcher = {
          ready() {
            for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
              const { channel: server, habits } = stage.record(channel);
              habits.data = (bytes) => void server.send(bytes);
              habits.end = () => server.shutdown();
              server.flow(true);
            }
          },
          trouble(error) {
            throw error;
          },
        };
        acceptor.want(true);
        const clients = await Promise.all(Array.from({ length: 1000 }, () => stage.dial(acceptor.address)));
        for (const [index, { channel }] of clients.entries()) {
          channel.flow(true);
          channel.send(bytesOf(`client ${index}`));
          channel.shutdown();
        }
        await stage.closed(...clients);
        for (const [index, { log }] of clients.entries()) {
          assert.deepEqual(log, [`data:client ${index}`, 'end', 'close:ended']);
        }
      }),
    );
  });
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemCode } from '../../src/base/errors.ts';
import type { PortsideError } from '../../src/base/errors.ts';
import type { BindTarget, Channel } from '../../src/transport/contract.ts';
import { bytesOf, watched } from './recorder.ts';
import type { Recorder } from './recorder.ts';
import { plainBind, staged } from './stage.ts';
import type { Make, Stage } from './stage.ts';

function rethrowing(error: PortsideError): void {
  throw error;
}

/** Connections that are made and wait to be taken. */
async function waiting(
  stage: Stage,
  count: number,
  backlog = 16,
): Promise<{ acceptor: Awaited<ReturnType<Stage['listen']>>; clients: Recorder[] }> {
  const acceptor = await stage.listen({ backlog });
  const clients: Recorder[] = [];
  for (let i = 0; i < count; i++) clients.push(await stage.dial(acceptor.address));
  await stage.until(() => acceptor.pending(), 'something to take');
  return { acceptor, clients };
}

/** Where the address of an acceptor can be bound again. */
function again(target: BindTarget, acceptor: { address: { family: string } & object }): BindTarget {
  return target.kind === 'tcp' && 'port' in acceptor.address
    ? { ...target, port: acceptor.address.port as number }
    : target;
}

/** Promises about binding and taking. */
export function accepting(make: Make): void {
  describe('accepting', () => {
    test(
      'the address is the one really bound, and readable after close',
      staged(make, async (stage) => {
        const target = stage.backend.target();
        const acceptor = await stage.listen({}, target);
        const { address } = acceptor;
        if (address.family === 'ipv4') assert.ok(address.port > 0);
        else if (address.family === 'unix') assert.equal(address.path, target.kind === 'unix' ? target.path : '');
        acceptor.close();
        acceptor.close();
        assert.deepEqual(acceptor.address, address);
        assert.equal(acceptor.kernelQueue, stage.transport.flags.kernelQueue);
      }),
    );

    test(
      'a place that is taken is EADDRINUSE, with a sentence, and free again after close',
      staged(make, async (stage) => {
        const target = stage.backend.target();
        const acceptor = await stage.listen({}, target);
        const same = again(target, acceptor);
        const error = await stage.refused(stage.transport.listen(same, plainBind));
        assert.equal(error.code, 'EADDRINUSE');
        assert.equal(error.op, 'listen');
        assert.ok(error.local !== undefined && error.message.includes(error.local), error.message);
        acceptor.close();
        await stage.still();
        const next = await stage.listen({}, same);
        assert.deepEqual(next.address, acceptor.address);
      }),
    );

    test(
      'what can not be bound keeps the code of the system',
      staged(make, async (stage) => {
        if (stage.transport.flags.memory) return;
        const targets: [BindTarget, string][] = [
          [{ kind: 'tcp', host: '203.0.113.7', port: 0, ipv6Only: false }, 'EADDRNOTAVAIL'],
          [{ kind: 'unix', path: '/nowhere/at/all.sock' }, process.platform === 'darwin' ? 'ENOENT' : 'EACCES'],
        ];
        for (const [target, code] of targets) {
          const error = await stage.refused(stage.transport.listen(target, plainBind));
          // libuv calls a missing directory EACCES.
          if (target.kind === 'unix') assert.ok([code, 'ENOENT'].includes(error.code), error.code);
          else assert.equal(error.code, code);
          assert.ok(error.local !== undefined && error.message.includes(error.local), error.message);
        }
      }),
    );

    test(
      'options that the backend can not honour are refused, never ignored',
      staged(make, async (stage) => {
        const target = stage.backend.target();
        if (target.kind !== 'tcp') return;
        for (const options of [{ reuseAddress: false }, { reusePort: true }] as const) {
          const able = 'reusePort' in options ? stage.transport.flags.reusePort : undefined;
          let code = 'none';
          try {
            await stage.listen(options, target);
          } catch (error) {
            code = (error as PortsideError).code;
          }
          if (able === undefined) assert.ok(['none', 'ERR_PORTSIDE_UNSUPPORTED'].includes(code), code);
          else assert.equal(code, able ? 'none' : 'ERR_PORTSIDE_UNSUPPORTED');
        }
      }),
    );

    test(
      'listeners that share a port by reusePort both get connections through it',
      staged(make, async (stage) => {
        const target = stage.backend.target();
        if (target.kind !== 'tcp' || !stage.transport.flags.reusePort) return;
        const one = await stage.listen({ reusePort: true }, target);
        const two = await stage.listen({ reusePort: true }, again(target, one));
        assert.deepEqual(two.address, one.address);
        let taken = 0;
        for (const acceptor of [one, two]) {
          acceptor.watcher = {
            ready() {
              for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
                stage.record(channel);
                taken += 1;
              }
            },
            trouble: rethrowing,
          };
          acceptor.want(true);
        }
        for (let i = 0; i < 20; i++) await stage.dial(one.address);
        await stage.until(() => taken === 20, 'all of them');
      }),
    );

    test(
      'ipv6Only leaves IPv4 to another listener',
      staged(make, async (stage) => {
        if (stage.backend.target().kind !== 'tcp' || stage.transport.flags.memory) return;
        const six = await stage.listen({}, { kind: 'tcp', host: '::', port: 0, ipv6Only: true });
        assert.ok(six.address.family === 'ipv6');
        const four = await stage.listen({}, { kind: 'tcp', host: '0.0.0.0', port: six.address.port, ipv6Only: false });
        assert.deepEqual(four.address, { family: 'ipv4', host: '0.0.0.0', port: six.address.port });
      }),
    );

    test(
      'with want off the watcher is not called, and clients wait, with their bytes, until they are wanted',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        let calls = 0;
        const taken: Recorder[] = [];
        acceptor.watcher = {
          ready: watched(() => {
            calls += 1;
            for (let channel = acceptor.take(); channel !== null; channel = acceptor.take())
              taken.push(stage.record(channel));
          }),
          trouble: rethrowing,
        };
        const clients = await Promise.all([1, 2, 3].map(() => stage.dial(acceptor.address)));
        for (const { channel } of clients) channel.send(bytesOf('patient'));
        await stage.still();
        assert.equal(calls, 0);
        acceptor.want(true);
        assert.equal(calls, 0, 'not within the call');
        await stage.until(() => taken.length === 3, 'all of them');
        acceptor.want(false);
        for (const { channel } of taken) channel.flow(true);
        for (const server of taken) await stage.received(server, 7);
        calls = 0;
        await stage.dial(acceptor.address);
        await stage.still();
        assert.equal(calls, 0);
      }),
    );

    test(
      'ready comes again each turn while something is left',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        let idle = 0;
        const taken: Channel[] = [];
        acceptor.watcher = {
          ready: watched(() => {
            if (idle < 3) {
              idle += 1;
              return;
            }
            const channel = acceptor.take();
            assert.ok(channel !== null, 'ready without anything to take');
            taken.push(channel);
            stage.record(channel);
          }),
          trouble: rethrowing,
        };
        const dialled = Promise.all([1, 2, 3, 4].map(() => stage.dial(acceptor.address)));
        acceptor.want(true);
        await dialled;
        await stage.until(() => taken.length === 4, 'one by one');
        assert.equal(idle, 3);
        assert.equal(acceptor.take(), null);
      }),
    );

    test(
      'pending consumes nothing',
      staged(make, async (stage) => {
        const { acceptor } = await waiting(stage, 1);
        assert.equal(acceptor.pending(), true);
        assert.equal(acceptor.pending(), true);
        const channel = acceptor.take();
        assert.ok(channel !== null);
        stage.record(channel);
        assert.equal(acceptor.pending(), false);
        assert.equal(acceptor.take(), null);
      }),
    );

    test(
      'without a kernel queue at most `backlog` are held, and the next are reset',
      staged(make, async (stage) => {
        if (stage.transport.flags.kernelQueue) return;
        const acceptor = await stage.listen({ backlog: 2 });
        const clients = [await stage.dial(acceptor.address), await stage.dial(acceptor.address)];
        for (let i = 0; i < 3; i++) {
          await stage.still();
          const { result } = stage.transport.dial(stage.backend.dialTarget(acceptor.address));
          // The reset may come before the dial has an answer.
          const outcome = await stage.settled(
            result.then(
              (channel) => stage.record(channel),
              (error: unknown) => systemCode(error) ?? String(error),
            ),
          );
          if (typeof outcome === 'string') {
            // Where there is no RST, a handshake of TLS that is cut off sees an end.
            assert.equal(outcome, stage.resets ? 'ECONNRESET' : 'ERR_PORTSIDE_UNEXPECTED_END');
            continue;
          }
          outcome.channel.flow(true);
          outcome.channel.shutdown();
          await stage.closed(outcome);
          if (stage.resets) assert.deepEqual(outcome.log, ['close:reset']);
        }
        for (const { channel } of clients) {
          channel.flow(true);
          channel.shutdown();
        }
        const held: Channel[] = [];
        for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) held.push(channel);
        assert.equal(held.length, 2);
        for (const channel of held) {
          stage.record(channel);
          channel.destroy('flush');
        }
        await stage.closed(...clients);
      }),
    );

    test(
      'peers that go away while they wait hurt nobody',
      staged(make, async (stage) => {
        const { acceptor, clients } = await waiting(stage, 3);
        const [first, second] = clients;
        assert.ok(first !== undefined && second !== undefined);
        first.channel.send(bytesOf('gone'));
        first.channel.destroy('reset');
        second.channel.destroy('drop');
        await stage.closed(first, second);
        await stage.still();
        const survivors: Recorder[] = [];
        await stage.until(() => {
          for (let channel = acceptor.take(); channel !== null; channel = acceptor.take())
            survivors.push(stage.record(channel));
          return survivors.length >= 2;
        }, 'the rest');
        for (const { channel } of survivors) {
          channel.flow(true);
          channel.shutdown();
        }
        clients[2]?.channel.send(bytesOf('here'));
        await stage.until(() => survivors.some(({ log }) => log[0] === 'data:here'), 'the one that stayed');
      }),
    );

    test(
      'close resets what nobody took and leaves what was taken',
      staged(make, async (stage) => {
        const { acceptor, clients } = await waiting(stage, 3);
        const server = await stage.accept(acceptor);
        acceptor.close();
        assert.equal(acceptor.take(), null);
        assert.equal(acceptor.pending(), false);
        for (const { channel } of clients) {
          channel.flow(true);
          channel.send(bytesOf('.'));
        }
        await stage.until(
          () => clients.filter(({ closedWith, log }) => closedWith !== null || log.includes('end')).length === 2,
          'the untaken to end',
        );
        server.channel.flow(true);
        await stage.received(server, 1);
        server.channel.send(bytesOf('alive'));
        await stage.until(() => clients.some(({ log }) => log.includes('data:alive')), 'the taken one');
        acceptor.want(true);
        acceptor.want(false);
        acceptor.ref(false);
        const error = await stage.refused(stage.transport.dial(stage.backend.dialTarget(acceptor.address)).result);
        assert.ok(['ECONNREFUSED', 'ENOENT'].includes(error.code), error.code);
      }),
    );

    test(
      'closing inside of ready is the end of the calls',
      staged(make, async (stage) => {
        const acceptor = await stage.listen();
        let calls = 0;
        acceptor.watcher = {
          ready: watched(() => {
            calls += 1;
            acceptor.close();
          }),
          trouble: rethrowing,
        };
        acceptor.want(true);
        const dials = [1, 2].map(() => stage.transport.dial(stage.backend.dialTarget(acceptor.address)).result);
        // The second comes too late, or is made and reset.
        for (const outcome of await stage.settled(Promise.allSettled(dials))) {
          if (outcome.status === 'fulfilled') stage.record(outcome.value);
        }
        await stage.until(() => calls > 0, 'ready');
        await stage.still();
        assert.equal(calls, 1);
      }),
    );

    test(
      'no descriptors left is trouble for the watcher, and passes by itself',
      staged(make, async (stage) => {
        const { backend } = stage;
        if (backend.exhaust === undefined) return;
        const { acceptor } = await waiting(stage, 1);
        const troubles: string[] = [];
        const taken: Channel[] = [];
        acceptor.watcher = {
          ready() {
            const channel = acceptor.take();
            if (channel !== null) taken.push(channel);
          },
          trouble: ({ code, message }) => void troubles.push(`${code}: ${message}`),
        };
        backend.exhaust(true);
        acceptor.want(true);
        await stage.until(() => troubles.length > 0, 'trouble');
        assert.match(troubles[0] ?? '', /^EMFILE: /u);
        assert.equal(taken.length, 0);
        backend.exhaust(false);
        await stage.until(() => taken.length === 1, 'the connection');
        stage.record(taken[0] as Channel);
      }),
    );
  });
}

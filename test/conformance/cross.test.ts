import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Channel, Released, Transport } from '../../src/transport/contract.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { tcpBackend, unixBackend } from './backends.ts';
import { withNative } from './native.ts';
import { bytesOf } from './recorder.ts';
import { staged } from './stage.ts';

/**
 * What one backend released, adopted by another. One that can't take a Node socket says so and leaves it unharmed for
 * the backend that released it.
 */
function adopt(from: Transport, to: Transport, released: Released): Channel {
  try {
    return to.adopt(released);
  } catch (error) {
    assert.ok(
      isPortsideError(error) && error.code === 'ERR_PORTSIDE_UNSUPPORTED' && released.kind === 'socket',
      String(error),
    );
    return from.adopt(released);
  }
}

function cross(from: Transport, to: Transport): void {
  const name = from === nodeTransport ? 'node' : 'native';
  for (const backend of [tcpBackend, unixBackend]) {
    const make = (): ReturnType<typeof backend> => backend(from, name);
    const kind = make().target().kind;
    describe(`${kind} from ${from.name} to ${to.name}`, () => {
      test(
        'a fresh connection goes over with all its bytes',
        staged(make, async (stage) => {
          const { client, server } = await stage.pair();
          client.channel.send(bytesOf('hello'));
          const next = stage.record(adopt(from, to, server.release()));
          next.channel.flow(true);
          client.channel.flow(true);
          client.channel.shutdown();
          await stage.until(() => next.log.includes('end'), 'the end');
          next.channel.send(bytesOf('reply'));
          next.channel.shutdown();
          await stage.closed(client, next);
          assert.deepEqual(next.log, ['data:hello', 'end', 'close:ended']);
          assert.deepEqual(client.log, ['data:reply', 'end', 'close:ended']);
        }),
      );

      test(
        'one that was read from goes over with its unread bytes, and its end',
        staged(make, async (stage) => {
          const { client, server } = await stage.pair();
          server.channel.flow(true);
          client.channel.send(bytesOf('head '));
          await stage.received(server, 5);
          server.channel.flow(false);
          client.channel.send(bytesOf('body '));
          await stage.still();
          const released = server.release();
          client.channel.send(bytesOf('tail'));
          client.channel.shutdown();
          await stage.still();
          const next = stage.record(adopt(from, to, released));
          next.channel.flow(true);
          await stage.until(() => next.log.includes('end'), 'the end');
          assert.deepEqual(server.log, ['data:head ']);
          assert.deepEqual(next.log, ['data:body tail', 'end']);
        }),
      );
    });
  }
}

cross(nodeTransport, nodeTransport);
withNative((native) => {
  cross(nodeTransport, native);
  cross(native, nodeTransport);
});

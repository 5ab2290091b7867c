import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import { bytesOf } from './recorder.ts';
import { staged } from './stage.ts';
import type { Make } from './stage.ts';

/** Promises of channels that can't be given up. */
export function keeping(make: Make): void {
  describe('release', () => {
    test(
      'it is refused with ERR_PORTSIDE_UNSUPPORTED, and the connection goes on; closed, it gives null',
      staged(make, async (stage) => {
        const { client, server } = await stage.pair();
        assert.throws(
          () => server.channel.release(),
          (error) => isPortsideError(error) && error.code === 'ERR_PORTSIDE_UNSUPPORTED' && error.op === 'release',
        );
        server.channel.flow(true);
        client.channel.send(bytesOf('still here'));
        await stage.received(server, 10);
        server.channel.destroy('drop');
        await stage.closed(server);
        assert.equal(server.channel.release(), null);
      }),
    );
  });
}

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isPortsideError } from '../../src/base/errors.ts';
import type { Channel, Transport } from '../../src/transport/contract.ts';
import { secureClient, secureServer } from '../../src/transport/tls/handshake.ts';
import { certificates } from '../support/certificates.ts';
import { endAll, onEach, outcomeOf, plainPair, serverContext, text, until } from './tls-support.ts';

const open = (): number => readdirSync('/proc/self/fd').length;
const skip = process.platform === 'linux' ? false : 'for Linux';

/** Each way that a handshake may end; what it leaves of both sides is ended by the test. */
type Way = (server: Channel, client: Channel) => Promise<void>;

const context = await serverContext();
const { ca } = certificates();

const ways: Readonly<Record<string, Way>> = {
  'well, with bytes both ways': async (server, client) => {
    const [inside, outside] = await Promise.all([
      outcomeOf(secureServer(server, context, [])),
      outcomeOf(secureClient(client, { ca }, 'localhost', [])),
    ]);
    assert.ok(!isPortsideError(inside) && !isPortsideError(outside));
    await endAll(inside, outside);
  },
  'by what is no TLS': async (server, client) => {
    client.send(text('GET / HTTP/1.1\r\n\r\n'));
    assert.ok(isPortsideError(await outcomeOf(secureServer(server, context, []))));
    client.destroy('drop');
  },
  'by the end of the peer': async (server, client) => {
    const under = outcomeOf(secureServer(server, context, []));
    client.destroy('flush');
    assert.ok(isPortsideError(await under));
  },
  'by a reset': async (server, client) => {
    const under = outcomeOf(secureServer(server, context, []));
    client.destroy('reset');
    assert.ok(isPortsideError(await under));
  },
  'called off at once': async (server, client) => {
    const handshake = secureServer(server, context, []);
    handshake.cancel('drop');
    assert.ok(isPortsideError(await outcomeOf(handshake)));
    client.destroy('drop');
  },
  'called off by a reset': async (server, client) => {
    const handshake = secureServer(server, context, []);
    await new Promise(setImmediate);
    handshake.cancel('reset');
    assert.ok(isPortsideError(await outcomeOf(handshake)));
    client.destroy('drop');
  },
  'by a certificate that is not trusted': async (server, client) => {
    const [, outside] = await Promise.all([
      outcomeOf(secureServer(server, context, [])).then((inside) => (isPortsideError(inside) ? null : endAll(inside))),
      outcomeOf(secureClient(client, {}, 'localhost', [])),
    ]);
    assert.ok(isPortsideError(outside));
  },
};

onEach('the descriptor of a connection that TLS was begun on', (transport: Transport) => {
  for (const [name, way] of Object.entries(ways)) {
    test(`is closed when it ended ${name}`, { skip }, async () => {
      const once = async (): Promise<void> => {
        const { server, client } = await plainPair(transport);
        await way(server, client);
      };
      // What is made at first use stays.
      await once();
      const before = open();
      for (let round = 0; round < 8; round += 1) await once();
      await until(() => open() <= before, `${open() - before} descriptors`);
    });
  }
});

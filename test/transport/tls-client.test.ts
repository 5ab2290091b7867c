import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { secureClient } from '../../src/transport/tls/handshake.ts';
import { certificates } from '../support/certificates.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Ear } from './memory-support.ts';
import { endAll, failed, outcomeOf, plainPair, until } from './tls-support.ts';

const pems = certificates();

leavesNothing();

test('a client reads the files that its options name, and says what is wrong with them', async () => {
  const { client, server } = await plainPair(nodeTransport);
  const outcome = failed(
    await outcomeOf(
      secureClient(client, { ca: '/nowhere/ca.pem', ...pems.client, key: pems.server.key }, 'localhost', []),
    ),
  );
  assert.equal(outcome.code, 'ERR_PORTSIDE_CERTIFICATE');
  assert.match(outcome.message, /ca \(\/nowhere\/ca\.pem\) can't be read/u);
  assert.match(outcome.message, /key does not fit/u);
  const ear = new Ear(server);
  await until(() => ear.end_ || ear.closed !== null, 'the end');
  await endAll(ear);
});

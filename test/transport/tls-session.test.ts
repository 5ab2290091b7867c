import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { certificates } from '../support/certificates.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Ear } from './memory-support.ts';
import { endAll, failed, secured, serverContext, shake, text, until } from './tls-support.ts';

const pems = certificates();

leavesNothing();

describe('session tickets', () => {
  /** Whether a session of one server is resumed by another. */
  async function moves(
    from: Parameters<typeof serverContext>[0],
    to: Parameters<typeof serverContext>[0],
    client = {},
  ): Promise<boolean> {
    const sessions: Uint8Array[] = [];
    const first = await shake(nodeTransport, await serverContext(from), {
      ...client,
      onSession: (session) => sessions.push(session),
    });
    const ears = [new Ear(secured(first.server)), new Ear(secured(first.client))] as const;
    await until(() => sessions.length > 0, 'a session');
    await endAll(...ears);
    const second = await shake(nodeTransport, await serverContext(to), { ...client, session: sessions.at(-1) });
    const { resumed } = secured(second.server).tls;
    await endAll(second.server, second.client);
    return resumed;
  }

  test('are taken by another context with the same keys, and by no other', async () => {
    const ticketKeys = new Uint8Array(48).fill(7);
    assert.equal(await moves({ ticketKeys }, { ticketKeys }), true);
    assert.equal(await moves({ ticketKeys }, { ticketKeys: new Uint8Array(48).fill(8) }), false);
    assert.equal(await moves({}, {}), false);
  });

  test('of a client that was verified are taken, with its certificate, but not where other clients are let in', async () => {
    const ticketKeys = new Uint8Array(48).fill(7);
    const strict = { ticketKeys, clientCertificate: 'require', ca: pems.ca } as const;
    assert.equal(await moves(strict, strict, pems.client), true);
    // A ticket that no certificate was asked for must not open a door where one is required.
    assert.equal(await moves({ ticketKeys }, strict, pems.client), false);
    assert.equal(await moves(strict, { ...strict, ca: [pems.ca, pems.strangerCa] }, pems.client), false);
  });

  test('are for one name: a session is not offered to a server of another, nor kept of one that is not verified', async () => {
    const ticketKeys = new Uint8Array(48).fill(7);
    const other = { ...pems.other, ticketKeys };
    const kept = async (name: string, rejectUnauthorized: boolean): Promise<Uint8Array[]> => {
      const sessions: Uint8Array[] = [];
      const onSession = (session: Uint8Array): void => void sessions.push(session);
      const first = await shake(nodeTransport, await serverContext(other), { onSession, rejectUnauthorized }, name);
      const ears = [new Ear(secured(first.server)), new Ear(secured(first.client))] as const;
      secured(first.server).send(text('behind the tickets'));
      await until(() => ears[1].bytes > 0, 'bytes');
      await endAll(...ears);
      return sessions;
    };
    const [session] = await kept('other.example.org', true);
    assert.ok(session !== undefined);
    const second = await shake(nodeTransport, await serverContext(other), { session }, 'localhost');
    assert.equal(failed(second.client).code, 'ERR_PORTSIDE_TLS');
    assert.match(failed(second.client).message, /for another name/u);
    await endAll(second.server);
    assert.deepEqual(await kept('localhost', false), []);
    const third = await shake(
      nodeTransport,
      await serverContext(other),
      { session: text('no session') },
      'other.example.org',
    );
    assert.equal(secured(third.client).tls.resumed, false);
    await endAll(third.server, third.client);
  });
});

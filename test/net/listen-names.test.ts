import assert from 'node:assert/strict';
import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { listen } from '../../src/net/listen.ts';
import type { Transport } from '../../src/transport/contract.ts';
import { endAll, nets, portOf } from '../support/nets.ts';

// Both are this machine's on Linux; what a name stands for is all that is made up here.
const TWO = ['127.0.0.1', '127.0.0.2'];

/** Lets names stand for these addresses until the test is over. */
function names(t: TestContext, addresses: readonly string[]): void {
  const { lookup } = dns;
  const answer = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  Object.assign(dns, { lookup: () => Promise.resolve(answer) });
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(dns, { lookup });
    syncBuiltinESMExports();
  });
}

for (const { name, transport } of nets().filter((net) => net.transport.flags.descriptors)) {
  test(`a name with two addresses binds both, on one number for port 0 (${name})`, async (t) => {
    names(t, TWO);
    const listener = await listen({ port: 0, host: 'two.test', transport });
    assert.deepEqual(
      listener.addresses.map((address) => ('host' in address ? address.host : '')),
      TWO,
    );
    const ports = listener.addresses.map((address) => ('port' in address ? address.port : 0));
    assert.ok(ports[0] !== 0 && ports[0] === ports[1]);
    for (const host of TWO) {
      const client = await connect({ host, port: portOf(listener) }, { transport });
      const conn = await listener.accept();
      assert.deepEqual(conn.local, client.remote);
      await endAll(client, conn);
    }
    await listener.close();
  });

  test(`all addresses of a name bind or none does: when one is taken the others are free again (${name})`, async (t) => {
    names(t, TWO);
    const taken = await listen({ port: 0, host: '127.0.0.2', transport });
    const port = portOf(taken);
    await assert.rejects(listen({ port, host: 'two.test', transport }), { code: 'EADDRINUSE' });
    const free = await listen({ port, host: '127.0.0.1', transport });
    await Promise.all([free.close(), taken.close()]);
  });

  test(`a number from port 0 that is taken on the second address is given up for another (${name})`, async (t) => {
    names(t, TWO);
    const inTheWay: Awaited<ReturnType<typeof transport.listen>>[] = [];
    const contested: Transport = {
      ...transport,
      flags: transport.flags,
      name: transport.name,
      dial: (target) => transport.dial(target),
      adopt: (released) => transport.adopt(released),
      listen: async (target, options) => {
        // Somebody is quicker, three times: the number is taken before the second address is bound.
        if (target.kind === 'tcp' && target.host === TWO[1] && inTheWay.length < 3)
          inTheWay.push(await transport.listen(target, options));
        return transport.listen(target, options);
      },
    };
    const listener = await listen({ port: 0, host: 'two.test', transport: contested });
    assert.equal(inTheWay.length, 3);
    const ports = listener.addresses.map((address) => ('port' in address ? address.port : 0));
    assert.equal(ports[0], ports[1]);
    for (const acceptor of inTheWay) acceptor.close();
    await listener.close();
  });

  test(`a name of which no address is this machine's binds nothing (${name})`, async (t) => {
    names(t, ['127.0.0.1', '192.0.2.1']);
    await assert.rejects(listen({ port: 0, host: 'away.test', transport }), { code: 'EADDRNOTAVAIL' });
  });

  test(`connecting to a name goes on with the next address when the first refuses (${name})`, async (t) => {
    names(t, TWO);
    const listener = await listen({ port: 0, host: '127.0.0.2', transport });
    const client = await connect({ host: 'two.test', port: portOf(listener) }, { transport });
    const conn = await listener.accept();
    assert.ok('host' in client.remote && client.remote.host === '127.0.0.2');
    await endAll(client, conn);
    await listener.close();
    await assert.rejects(
      connect({ host: 'two.test', port: portOf(listener) }, { transport }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'ECONNREFUSED');
        assert.ok(error.cause instanceof AggregateError);
        assert.equal(error.cause.errors.length, 2);
        return true;
      },
    );
  });
}

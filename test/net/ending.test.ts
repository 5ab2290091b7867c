import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scope } from '../../src/sync/scope.ts';
import { endAll, listenOn, onEachNet, pairOn, portOf, readAll } from '../support/nets.ts';
import { connect } from '../../src/net/connect.ts';
import { watchLeaks } from '../support/leaks.ts';

onEachNet('ending', (net) => {
  test('closeWrite sends FIN and reading goes on: an answer after the end of the question arrives', async () => {
    const { server, client } = await pairOn(net);
    void client.write('question');
    await client.closeWrite();
    assert.equal((await readAll(server)).toString(), 'question');
    await server.write('answer');
    assert.equal((await server.close()).kind, 'ended');
    assert.equal((await readAll(client)).toString(), 'answer');
    assert.equal((await client.closed).kind, 'ended');
  });

  test('abandonWrite sends what is queued but no FIN until the reading side ends', async () => {
    const { server, client } = await pairOn(net);
    void client.write('all there is');
    await client.abandonWrite();
    await assert.rejects(client.write('more'), { code: 'ERR_PORTSIDE_WRITE_AFTER_END' });
    assert.equal(Buffer.from((await server.readExactly(12)) ?? []).toString(), 'all there is');
    await assert.rejects(server.read({ timeout: 20 }), { code: 'ERR_PORTSIDE_TIMEOUT' });
    await server.write('still read');
    assert.equal(Buffer.from((await client.readExactly(10)) ?? []).toString(), 'still read');
    await server.closeWrite();
    assert.equal(await client.read(), null);
    assert.equal(await server.read(), null, 'the end of its input lets the FIN go');
    await Promise.all([server.close(), client.close()]);
  });

  test('closeRead ends reading at once, lets go what comes, and output goes on', async () => {
    const { server, client } = await pairOn(net);
    const waiting = server.read();
    server.closeRead();
    assert.equal(await waiting, null);
    await client.write(Buffer.alloc(1_000_000));
    await client.flushed();
    assert.equal(await server.read(), null);
    await server.write('one way');
    await server.closeWrite();
    assert.equal((await readAll(client)).toString(), 'one way');
    await client.closeWrite();
    assert.equal((await client.closed).kind, 'ended');
    assert.equal((await server.closed).kind, 'closed');
  });

  test('close sends everything first, whatever the peer still sends', async () => {
    const { server, client } = await pairOn(net);
    void client.write(Buffer.alloc(300_000));
    const answer = Buffer.alloc(3_000_000, 'answer');
    void server.write(answer);
    const closed = server.close();
    assert.ok((await readAll(client)).equals(answer));
    await client.close();
    assert.equal((await closed).kind, 'closed');
  });

  test('close is idempotent, never rejects, and gives one reason', async () => {
    const { server, client } = await pairOn(net);
    const first = server.close({ linger: 50 });
    const second = server.close();
    assert.equal(await first, await second);
    assert.equal((await server.closed).kind, 'closed');
    assert.equal(await server.close(), await first);
    await endAll(client);
  });

  test('close waits no longer than linger for a peer that never ends, and its output counts as sent', async () => {
    const { server, client } = await pairOn(net);
    await server.write('bye');
    const before = performance.now();
    assert.deepEqual(await server.close({ linger: 30 }), { kind: 'closed' });
    assert.ok(performance.now() - before < 5_000);
    await endAll(client);
  });

  test('output that the peer does not take within linger is dropped, and counted in the reason', async () => {
    const { server, client } = await pairOn(net);
    void server.write(Buffer.alloc(64 * 1_048_576));
    const reason = await server.close({ linger: 30 });
    assert.ok(reason.kind === 'dropped' && reason.unsent > 0, JSON.stringify(reason));
    await endAll(client);
  });

  test('abort resets: the peer reads ECONNRESET, this side has the cause', async () => {
    const { server, client } = await pairOn(net);
    const cause = new Error('enough');
    const reading = client.read();
    server.abort(cause);
    await assert.rejects(reading, { code: 'ECONNRESET' });
    assert.deepEqual(await server.closed, { kind: 'aborted', cause });
    await assert.rejects(server.write('x'), (error: Error) => error.cause === cause);
  });

  test('closed, signal and closeReason tell the same, before and after', async () => {
    const { server, client } = await pairOn(net);
    const { closed, signal } = server;
    assert.equal(server.closeReason, null);
    assert.equal(signal.aborted, false);
    server.abort();
    const reason = await closed;
    assert.equal(server.closeReason, reason);
    assert.equal(signal.aborted, true);
    assert.equal(server.signal.aborted, true);
    assert.equal(await server.closed, reason);
    await endAll(client);
  });

  test('a connection is async-disposable, which closes it in order', async () => {
    const { server, client } = await pairOn(net);
    await client.closeWrite();
    await server[Symbol.asyncDispose]();
    assert.notEqual(server.closeReason, null);
    await endAll(client);
  });

  test('addresses are each other, and can be read after close', async () => {
    const { server, client } = await pairOn(net);
    assert.deepEqual(server.remote, client.local);
    assert.deepEqual(server.local, client.remote);
    const { remote } = server;
    await endAll(server, client);
    assert.deepEqual(server.remote, remote);
  });

  test('release gives the connection up whole, with the bytes that were read and not taken', async () => {
    const { server, client } = await pairOn(net);
    await client.write('taken|not taken');
    assert.equal(Buffer.from((await server.readUntil('|')) ?? []).toString(), 'taken|');
    const released = await server.release();
    assert.equal((await server.closed).kind, 'released');
    await assert.rejects(server.read(), { code: 'ERR_PORTSIDE_RELEASED' });
    await assert.rejects(server.release(), { code: 'ERR_PORTSIDE_RELEASED' });
    const channel = net.transport.adopt(released);
    const got: Uint8Array[] = [];
    const all = new Promise<void>((resolve) => {
      channel.sink = {
        data: (bytes, borrowed) => void got.push(borrowed ? Uint8Array.from(bytes) : bytes),
        end: resolve,
        writable() {},
        close() {},
      };
    });
    channel.flow(true);
    void client.write(', and more');
    await client.closeWrite();
    await all;
    assert.equal(Buffer.concat(got).toString(), 'not taken, and more');
    channel.destroy('drop');
    await endAll(client);
  });

  test('a scope closes what was opened in it, newest first, and drops what was unflushed', async () => {
    const check = watchLeaks();
    const scope = new Scope({ parent: null });
    const outside = await listenOn(net);
    const { inside, peer } = await scope.run(async () => {
      const opened = await connect({ host: '127.0.0.1', port: portOf(outside) }, { transport: net.transport });
      return { inside: opened, peer: await listenOn(net) };
    });
    const accepted = await outside.accept();
    void inside.write(Buffer.alloc(64 * 1_048_576));
    assert.equal(scope.report().length, 2);
    await scope.close();
    assert.equal(inside.closeReason?.kind, 'dropped');
    await peer.closed;
    await assert.rejects(
      scope.run(() => listenOn(net)),
      { code: 'ERR_PORTSIDE_SCOPE_CLOSED' },
    );
    await endAll(accepted);
    await outside.close();
    await check();
  });

  test('what a scope owned and was closed before is forgotten by it', async () => {
    const scope = new Scope({ parent: null });
    await scope.run(async () => {
      const { server, client } = await pairOn(net);
      await endAll(server, client);
    });
    assert.deepEqual(scope.report(), []);
    await scope.close();
  });

  test('a guard of the scope refuses to listen and to connect by host, port and role', async () => {
    const asked: unknown[] = [];
    const scope = new Scope({
      parent: null,
      guard: (request) => {
        asked.push(request);
        return false;
      },
    });
    await scope.run(async () => {
      await assert.rejects(listenOn(net, { port: 4711 }), { code: 'ERR_PORTSIDE_GUARD' });
      await assert.rejects(connect('127.0.0.1:4712', { transport: net.transport }), { code: 'ERR_PORTSIDE_GUARD' });
    });
    assert.deepEqual(asked, [
      { op: 'listen', role: 'server', host: '127.0.0.1', port: 4711 },
      { op: 'connect', role: 'client', host: '127.0.0.1', port: 4712 },
    ]);
    await scope.close();
  });
});

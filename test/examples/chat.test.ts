import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Program } from '../support/program.ts';
import { startNc, startServing } from '../support/program.ts';

/** A client that has entered under a name. */
async function entered(t: TestContext, port: number, name: string): Promise<Program> {
  const client = startNc(t, port, '-N');
  await client.until(/^What is your name\?\n/u);
  client.write(`${name}\n`);
  await client.until(/^(?:Here are: .*|You are the first one here\.)\n/mu);
  return client;
}

describe('examples/chat.ts', () => {
  test('tells names, arrivals, lines and departures to all', async (t) => {
    const { server, port } = await startServing(t, 'examples/chat.ts');
    const ada = await entered(t, port, 'Ada');
    const bob = await entered(t, port, 'Bob');
    await ada.until(/^\* Bob arrived\n/mu);
    ada.write('hello, Bob\r\n\n');
    await bob.until(/^Ada: hello, Bob\n/mu);
    bob.write('hello yourself\n');
    await ada.until(/^Bob: hello yourself\n/mu);
    ada.end();
    await ada.exit;
    await bob.until(/^\* Ada departed\n/mu);
    assert.equal(
      ada.out,
      'What is your name?\nYou are the first one here.\n* Bob arrived\nAda: hello, Bob\nBob: hello yourself\n',
    );
    assert.equal(bob.out, 'What is your name?\nHere are: Ada\nAda: hello, Bob\nBob: hello yourself\n* Ada departed\n');
    assert.equal(server.err, '');
  });

  test('a name that is taken, or none, is asked for again, and is free when its owner has left', async (t) => {
    const { port } = await startServing(t, 'examples/chat.ts');
    const ada = await entered(t, port, 'Ada');
    const other = startNc(t, port, '-N');
    other.write('Ada\n');
    await other.until(/That name is taken\. Another\?\n/u);
    other.write('two words\n');
    await other.until(/One to 24 letters and digits, please\. Your name\?\n/u);
    other.write('Zoë\n');
    await other.until(/Here are: Ada\n/u);
    ada.end();
    await other.until(/\* Ada departed\n/u);
    const again = await entered(t, port, 'Ada');
    assert.match(again.out, /Here are: Zoë\n$/u);
  });

  test('two who ask for one name in the same moment do not both get it', async (t) => {
    const { port } = await startServing(t, 'examples/chat.ts');
    const clients = Array.from({ length: 8 }, () => startNc(t, port));
    await Promise.all(clients.map((client) => client.until(/name\?\n/u)));
    for (const client of clients) client.write('Ada\n');
    await Promise.all(clients.map((client) => client.until(/first one here|name is taken/u)));
    assert.equal(clients.filter(({ out }) => out.includes('first one here')).length, 1);
  });

  test('a client that is killed has departed too', async (t) => {
    const { server, port } = await startServing(t, 'examples/chat.ts');
    const ada = await entered(t, port, 'Ada');
    const bob = await entered(t, port, 'Bob');
    await ada.until(/Bob arrived/u);
    ada.signal('SIGKILL');
    await bob.until(/\* Ada departed\n/u);
    assert.equal(server.err, '');
  });

  test('on SIGINT all are told, and can still talk until they leave; then it exits 0', async (t) => {
    const { server, port } = await startServing(t, 'examples/chat.ts');
    const ada = await entered(t, port, 'Ada');
    const bob = await entered(t, port, 'Bob');
    server.signal('SIGINT');
    for (const client of [ada, bob]) await client.until(/^\* the server is stopping; say what you have to say\n/mu);
    ada.end('goodbye\n');
    await bob.until(/^Ada: goodbye\n\* Ada departed\n/mu);
    bob.end();
    assert.deepEqual(await bob.exit, { code: 0, signal: null });
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import type { TlsServerOptions } from '../../src/transport/tls/context.ts';
import { secureClient, secureServer } from '../../src/transport/tls/handshake.ts';
import type { SecureChannel } from '../../src/transport/tls/handshake.ts';
import { files } from '../support/certificates.ts';
import { start } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import type { TestContext } from 'node:test';
import { Ear } from './memory-support.ts';
import { accepting, dial, outcomeOf, secured, serverContext, text, until } from './tls-support.ts';
import type { Outcome } from './tls-support.ts';

/** A server of ours, `openssl s_client` connected to it, and what the handshake gave. */
async function withClient(
  t: TestContext,
  options: Partial<TlsServerOptions>,
  ...args: readonly string[]
): Promise<{ program: Program; outcome: Promise<Outcome> }> {
  const context = await serverContext(options);
  let told: (outcome: Outcome) => void = () => {};
  const outcome = new Promise<Outcome>((resolve) => {
    told = resolve;
  });
  const acceptor = await accepting(nodeTransport, (channel) => {
    acceptor.close();
    void outcomeOf(secureServer(channel, context, [])).then(told);
  });
  const { ca } = files(t);
  const program = start(t, 'openssl', [
    's_client',
    ...['-connect', `127.0.0.1:${acceptor.port}`, '-CAfile', ca, '-verify_return_error', '-servername', 'localhost'],
    ...args,
  ]);
  return { program, outcome };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('openssl s_client', () => {
  for (const [flag, version] of [
    ['-tls1_2', 'TLSv1.2'],
    ['-tls1_3', 'TLSv1.3'],
  ] as const) {
    test(`${version}: bytes go both ways, and each side hears the end of the other`, async (t) => {
      const { program, outcome } = await withClient(t, { alpn: ['x', 'y'] }, flag, '-alpn', 'y', '-quiet');
      const channel = secured(await outcome);
      assert.deepEqual([channel.tls.protocol, channel.tls.alpn, channel.tls.servername], [version, 'y', 'localhost']);
      const ear = new Ear(channel);
      program.write('from the client\n');
      await until(() => ear.text === 'from the client\n', 'the line');
      channel.send(text('from the server\n'));
      await program.until(/from the server/u);
      channel.shutdown();
      const { code } = await program.exit;
      assert.equal(code, 0, program.err);
      await until(() => ear.closed !== null, 'the close');
    });

    test(`${version}: megabytes that are flushed arrive whole, and the end is clean`, async (t) => {
      const { program, outcome } = await withClient(t, {}, flag, '-quiet');
      const channel = secured(await outcome);
      const ear = new Ear(channel);
      const line = `${'m'.repeat(1023)}\n`;
      channel.send(text(line.repeat(6 * 1024)));
      channel.destroy('flush');
      const { code } = await program.exit;
      assert.equal(code, 0, program.err);
      assert.equal(program.out.length, 6 * 1024 * 1024);
      assert.doesNotMatch(program.err, /unexpected eof/u);
      await until(() => ear.closed !== null, 'the close');
      assert.deepEqual(ear.closed, { kind: 'closed' });
    });

    test(`${version}: closed right after the handshake, without a byte, the end is clean too`, async (t) => {
      const { program, outcome } = await withClient(t, {}, flag, '-quiet');
      secured(await outcome).destroy('flush');
      const { code } = await program.exit;
      assert.equal(code, 0, program.err);
      assert.doesNotMatch(program.err, /unexpected eof/u);
    });

    test(`${version}: dropped, it hears no close_notify`, async (t) => {
      const { program, outcome } = await withClient(t, {}, flag, '-quiet');
      secured(await outcome).destroy('drop');
      await program.exit;
      assert.match(program.err, /unexpected eof/u);
    });
  }

  test('a client of TLS 1.2 that wants to negotiate again is refused', async (t) => {
    const { program, outcome } = await withClient(t, {}, '-tls1_2');
    const ear = new Ear(secured(await outcome));
    await program.until(/Verify return code/u);
    program.write('R\n');
    await program.until(/RENEGOTIATING/u, 'err');
    await program.exit;
    await until(() => ear.closed !== null, 'the close');
    assert.equal(ear.bytes, 0);
    assert.equal(ear.closed?.kind, 'failed');
    assert.equal(ear.code, 'ERR_PORTSIDE_TLS');
  });
});

describe('openssl s_server', () => {
  /** A client of ours under TLS with `openssl s_server`. */
  async function withServer(
    t: TestContext,
    ...args: readonly string[]
  ): Promise<{ program: Program; channel: SecureChannel }> {
    const paths = files(t);
    const port = await freePort();
    const program = start(t, 'openssl', [
      's_server',
      ...['-accept', `127.0.0.1:${port}`, '-cert', paths.server.cert, '-key', paths.server.key, '-naccept', '1'],
      ...args,
    ]);
    await program.until(/ACCEPT/u);
    const channel = await dial(nodeTransport, port);
    return {
      program,
      channel: secured(await outcomeOf(secureClient(channel, { ca: paths.ca, alpn: ['y'] }, 'localhost', []))),
    };
  }

  for (const [flag, version] of [
    ['-tls1_2', 'TLSv1.2'],
    ['-tls1_3', 'TLSv1.3'],
  ] as const) {
    test(`${version}: bytes go both ways, and a flush ends it in order`, async (t) => {
      const { program, channel } = await withServer(t, flag, '-alpn', 'y');
      assert.deepEqual([channel.tls.protocol, channel.tls.alpn, channel.tls.authorized], [version, 'y', true]);
      const ear = new Ear(channel);
      channel.send(text('from the client\n'));
      await program.until(/from the client/u);
      program.write('from the server\n');
      await until(() => ear.text === 'from the server\n', 'the line');
      channel.destroy('flush');
      await program.exit;
      assert.doesNotMatch(program.err, /unexpected eof/u);
      await until(() => ear.closed !== null, 'the close');
      assert.deepEqual(ear.closed, { kind: 'closed' });
    });
  }
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { ServerOptions } from '../../src/server/options.ts';
import { certificates } from '../support/certificates.ts';
import { besieged } from '../support/siege.ts';
import { echoes } from './handlers.ts';
import { manyOn, oneAddress, onEachKernel, rawOn, stranger, turns } from './raw.ts';

const { ca, server: pair } = certificates();
const client = { tls: { ca } };

function secured(handshakeTimeout: number, maxHandshakes = 256, more: ServerOptions = {}): ServerOptions {
  return { tls: { ...pair, handshakeTimeout, maxHandshakes }, ...more };
}

/** What a client of TLS says first, as OpenSSL puts it. */
async function clientHello(): Promise<Buffer> {
  const said = Promise.withResolvers<Buffer>();
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      said.resolve(chunk);
      done();
    },
  });
  const socket = connectTls({ socket: wire, servername: 'localhost' });
  socket.on('error', () => {});
  const hello = await said.promise;
  socket.destroy();
  return hello;
}

onEachKernel('attacks on the handshake of TLS', (net) => {
  test('500 clients that connect and say nothing end by the deadline or for want of a turn, and those inside go on', async () => {
    await besieged(net, {
      handler: echoes.function,
      options: secured(400, 50),
      client,
      // Who comes meanwhile stands behind all of them, and would not be in within its own 400 ms.
      newcomers: false,
      attack: async (siege) => {
        const silent = await manyOn(siege, 500);
        const fates = await Promise.all(silent.map((one) => one.drain().fate));
        assert.deepEqual(new Set(fates), new Set(['ended']));
      },
      counted: ({ reasons, refused }) => {
        assert.equal((reasons['timeout-handshake'] ?? 0) + refused['handshakes-full'], 500);
        assert.ok(refused['handshakes-full'] >= 1, 'more came than may shake hands');
        assert.equal(reasons['refused'], refused['handshakes-full']);
      },
    });
  });

  test('one address can not take all handshakes where it may have few connections', { skip: oneAddress }, async () => {
    await besieged(net, {
      handler: echoes.protocol,
      options: secured(700, 20, { maxPerClient: 10 }),
      client,
      attack: async (siege) => {
        const silent = await manyOn(siege, 300, () => stranger(1));
        for (const one of silent) one.drain();
        await Promise.all(silent.map((one) => one.fate));
      },
      counted: ({ reasons, refused }) => {
        assert.equal(refused['client-full'], 290);
        assert.equal(reasons['timeout-handshake'], 10);
        assert.equal(refused['handshakes-full'], 0);
      },
    });
  });

  test('garbage, half a greeting, HTTP, and greetings with a bit turned are refused one by one', async () => {
    const hello = await clientHello();
    const sent: Buffer[] = [
      Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
      Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'),
      Buffer.alloc(70_000, 0),
      Buffer.alloc(70_000, 255),
      Buffer.from([0x16, 3, 1, 0xff, 0xff, ...Array<number>(100).fill(1)]),
      Buffer.concat([Buffer.from([0x16, 3, 1, 0x40, 0]), Buffer.alloc(20_000, 0x42)]),
      hello.subarray(0, hello.length >> 1),
      hello.subarray(0, 5),
      hello.subarray(0, 1),
      ...[5, 9, 43, 44, 76, 78, 80, hello.length - 1].map((at) => {
        const broken = Buffer.from(hello);
        broken[at] = (broken[at] ?? 0) ^ 0xff;
        return broken;
      }),
    ];
    await besieged(net, {
      handler: echoes['framed protocol'],
      options: secured(800),
      client,
      attack: async (siege) => {
        const raws = await manyOn(siege, sent.length * 8);
        for (const [i, raw] of raws.entries()) raw.drain().socket.write(sent[i % sent.length]!);
        await Promise.all(raws.map((raw) => raw.fate));
      },
      counted: ({ accepted, reasons, errors }) => {
        assert.ok(accepted > sent.length * 8);
        const handshakes = (reasons['handshake'] ?? 0) + (reasons['timeout-handshake'] ?? 0) + (reasons['reset'] ?? 0);
        assert.equal(handshakes, sent.length * 8);
        assert.ok((reasons['timeout-handshake'] ?? 0) >= 8 * 3, 'halves end by the deadline');
        assert.equal(errors, 0, 'no handler was bothered');
      },
    });
  });

  test('resets at each step of the handshake leave nothing behind', async () => {
    const hello = await clientHello();
    const count = 240;
    await besieged(net, {
      handler: echoes.function,
      options: secured(1_000),
      client,
      attack: async (siege) => {
        for (let i = 0; i < count; i += 1) {
          const raw = await rawOn(siege);
          const step = i % 4;
          if (step === 1) raw.socket.write(hello.subarray(0, hello.length >> 1));
          if (step >= 2) raw.socket.write(hello);
          // The server's part is on its way, or has come.
          if (step === 3) await once(raw.socket.resume(), 'data');
          await turns(i % 7);
          raw.reset();
          await raw.fate;
        }
      },
      counted: ({ reasons }) => {
        const told = (reasons['reset'] ?? 0) + (reasons['handshake'] ?? 0) + (reasons['timeout-handshake'] ?? 0);
        assert.ok(told <= count && told >= count - 60, JSON.stringify(reasons));
      },
    });
  });

  test('a thousand handshakes and ends, in order, by reset, and with a wish to negotiate again', async () => {
    const rounds = 250;
    await besieged(net, {
      handler: echoes.protocol,
      options: secured(5_000),
      client,
      attack: async (siege) => {
        const one = async (i: number): Promise<void> => {
          // Renegotiation was taken out of TLS 1.3.
          const maxVersion = i % 4 === 3 ? 'TLSv1.2' : 'TLSv1.3';
          const socket = connectTls({ port: siege.port, host: '127.0.0.1', ca, servername: 'localhost', maxVersion });
          socket.on('error', () => {});
          await new Promise((resolve) => {
            socket.once('secureConnect', resolve).once('close', resolve);
          });
          const over = new Promise((resolve) => {
            // One that is refused to negotiate again stays half open.
            socket.once('end', () => socket.destroy()).once('close', resolve);
          });
          if (i % 4 === 0) socket.end();
          else if (i % 4 === 1) socket.end('hello\n');
          else if (i % 4 === 2) socket.destroy();
          else if (!socket.destroyed) {
            socket.renegotiate({}, () => {});
            socket.write('hello\n');
          }
          socket.resume();
          await over;
        };
        for (let i = 0; i < rounds * 4; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => one(i + k)));
      },
      counted: ({ accepted, reasons, errors }) => {
        assert.ok(accepted >= rounds * 4);
        assert.equal(reasons['failed'], rounds, 'who wants to negotiate again is ended');
        assert.equal(errors, 0);
      },
    });
  });
});

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { connect as connectTls } from 'node:tls';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import { ProxyHeaderDecoder, proxyTlvs } from '../../src/codec/proxy-header.ts';
import type { ProxyHeader } from '../../src/codec/proxy-header.ts';
import type { ProxyOptions, ProxyResult } from '../../src/net/proxy-in.ts';
import { effectiveRemote } from '../../src/net/proxy-in.ts';
import { proxyPreamble } from '../../src/net/proxy-out.ts';
import type { ProxyOutOptions } from '../../src/net/proxy-out.ts';
import type { Address } from '../../src/transport/address.ts';
import type { BindTarget, Channel, Transport } from '../../src/transport/contract.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { startHaproxy, withoutHaproxy } from '../support/haproxy.ts';
import type { Door } from '../support/haproxy.ts';
import { Ear, latin1, onChannels, onEachTransport, reading, until } from './proxy-support.ts';

const skip = withoutHaproxy();

/** A server that reads a header from every connection, and keeps what it found. */
class Behind {
  readonly found: { readonly channel: Channel; readonly result: ProxyResult; readonly ear: Ear }[] = [];
  readonly errors: unknown[] = [];
  address: Address = { family: 'memory', name: '' };

  static async start(
    t: TestContext,
    transport: Transport,
    options: Partial<ProxyOptions> = {},
    target?: BindTarget,
  ): Promise<Behind> {
    const behind = new Behind();
    const take = (channel: Channel): void => {
      reading(channel, options).result.then(
        (result) => {
          const ear = new Ear(channel, false);
          for (const bytes of result.rest) ear.data(bytes);
          channel.flow(true);
          behind.found.push({ channel, result, ear });
        },
        (error: unknown) => {
          behind.errors.push(error);
          channel.destroy('reset');
        },
      );
    };
    behind.address = await onChannels(t, transport, take, target);
    return behind;
  }

  /** Its address, as HAProxy is told it. */
  get at(): string {
    return this.address.family === 'unix' ? `unix@${this.address.path}` : `127.0.0.1:${portOf(this.address)}`;
  }

  async first(): Promise<{ channel: Channel; header: ProxyHeader; ear: Ear }> {
    await until(() => this.found.length > 0 || this.errors.length > 0, 'a connection from haproxy');
    assert.deepEqual(this.errors, []);
    const { channel, result, ear } = this.found[0]!;
    assert.ok(result.header !== null);
    return { channel, header: result.header, ear };
  }
}

function portOf(address: Address): number {
  assert.ok('port' in address);
  return address.port;
}

async function dial(t: TestContext, transport: Transport, { host, port }: Door): Promise<Channel> {
  const target = { kind: 'tcp', host, port, localHost: undefined, localPort: undefined } as const;
  const channel = await transport.dial(target).result;
  t.after(() => channel.destroy('reset'));
  return channel;
}

/** One door before one server. */
function listenSection(door: Door, server: string, bindOptions = ''): string {
  return [`listen main`, `  bind ${door.bind} ${bindOptions}`, `  server behind ${server}`].join('\n');
}

function run(...command: [string, ...string[]]): void {
  const [program, ...args] = command;
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

/** A key with a certificate that it has signed itself, in one file. */
function certificate(folder: string, name: string): string {
  const file = join(folder, `${name}.pem`);
  run(
    ...([
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
    ] as const),
    ...['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', file, '-out', `${file}.crt`],
  );
  run('sh', '-c', 'cat "$1.crt" >> "$1"', 'sh', file);
  return file;
}

const behindHaproxy = (transport: Transport): void => {
  for (const [version, words] of [
    [1, 'send-proxy'],
    [2, 'send-proxy-v2'],
    [2, 'send-proxy-v2 proxy-v2-options crc32c'],
  ] as const) {
    test(`a client is known by the port that it has itself (${words})`, { skip }, async (t) => {
      const behind = await Behind.start(t, transport);
      const { doors } = await startHaproxy(t, {
        doors: { main: '127.0.0.1' },
        config: ({ main }) => listenSection(main, `${behind.at} ${words}`),
      });
      const client = await dial(t, transport, doors.main);
      const heard = new Ear(client, true);
      // Whoever speaks of himself through a proxy is not believed.
      const lie = 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n';
      client.send(latin1(`${lie}hello`));
      const { channel, header, ear } = await behind.first();
      assert.equal(header.version, version);
      assert.equal(header.command, 'proxy');
      assert.equal(header.transport, 'stream');
      assert.deepEqual(effectiveRemote(header), client.local);
      assert.deepEqual(header.destination, client.remote);
      assert.notEqual(portOf(channel.remote), portOf(client.local));
      await until(() => ear.text === `${lie}hello`, 'what the client sent');
      channel.send(latin1('welcome'));
      await until(() => heard.text === 'welcome', 'the answer');
    });
  }

  test('a client over IPv6 is known where the server is reached over IPv4', { skip }, async (t) => {
    for (const words of ['send-proxy', 'send-proxy-v2']) {
      const behind = await Behind.start(t, transport);
      const { doors } = await startHaproxy(t, {
        doors: { main: '::1' },
        config: ({ main }) => listenSection(main, `${behind.at} ${words}`),
      });
      const client = await dial(t, transport, doors.main);
      const { channel, header } = await behind.first();
      assert.deepEqual(header.source, client.local);
      assert.deepEqual(header.destination, client.remote);
      assert.equal(channel.remote.family, 'ipv4');
    }
  });

  test('on a Unix socket, the proxy is believed as unix', { skip }, async (t) => {
    let behind = new Behind();
    const starting: Promise<unknown>[] = [];
    const { doors } = await startHaproxy(t, {
      doors: { main: '127.0.0.1' },
      config: ({ main }, folder) => {
        const target: BindTarget = { kind: 'unix', path: join(folder, 'behind.sock') };
        starting.push(Behind.start(t, transport, { from: ['unix'] }, target).then((made) => (behind = made)));
        return listenSection(main, `unix@${target.path} send-proxy-v2`);
      },
    });
    await Promise.all(starting);
    const client = await dial(t, transport, doors.main);
    const { channel, header } = await behind.first();
    assert.equal(channel.remote.family, 'unix');
    assert.deepEqual(header.source, client.local);
  });

  test('a proxy that isn’t listed is refused, and its client hears the end', { skip }, async (t) => {
    const behind = await Behind.start(t, transport, { from: ['127.0.0.2'] });
    const { doors } = await startHaproxy(t, {
      doors: { main: '127.0.0.1' },
      config: ({ main }) => listenSection(main, `${behind.at} send-proxy-v2`),
    });
    const client = await dial(t, transport, doors.main);
    const heard = new Ear(client, true);
    await until(() => heard.ended || heard.closed !== null, 'the end');
    assert.equal(behind.found.length, 0);
    assert.equal((behind.errors[0] as { code?: string }).code, 'ERR_PORTSIDE_PROXY_HEADER');
  });

  test('its unique id, and its checksum, are there', { skip }, async (t) => {
    const ears: Ear[] = [];
    const address = await onChannels(t, transport, (channel) => void ears.push(new Ear(channel, true)));
    const words = 'send-proxy-v2 proxy-v2-options unique-id,crc32c';
    const { doors } = await startHaproxy(t, {
      doors: { main: '127.0.0.1' },
      defaults: ['unique-id-format id-%ci-%cp'],
      config: ({ main }) => listenSection(main, `127.0.0.1:${portOf(address)} ${words}`),
    });
    const client = await dial(t, transport, doors.main);
    client.send(latin1('!'));
    await until(() => ears[0]?.text.endsWith('!') === true, 'the header and a byte');
    const bytes = Buffer.concat(ears[0]?.chunks ?? []);
    const decoded = (input: Uint8Array): ProxyHeader | typeof more => {
      const queue = new ByteQueue();
      queue.append(new Uint8Array(input));
      return new ProxyHeaderDecoder().decode(queue);
    };
    const header = decoded(bytes);
    assert.ok(header !== more);
    assert.equal(Buffer.from(header.uniqueId ?? []).toString(), `id-127.0.0.1-${portOf(client.local)}`);
    const port = bytes.indexOf(Buffer.from([portOf(client.local) >> 8, portOf(client.local) & 255]));
    bytes[port] = (bytes[port] as number) ^ 1;
    assert.throws(() => decoded(bytes), { code: 'ERR_PORTSIDE_PROXY_HEADER', message: /checksum/ });
  });

  for (const [version, words, command] of [
    [2, 'send-proxy-v2', 'local'],
    [2, 'send-proxy-v2 proxy-v2-options crc32c', 'local'],
    [1, 'send-proxy', 'proxy'],
  ] as const) {
    test(`a health check of its own is read, and answered (${words})`, { skip }, async (t) => {
      const behind = await Behind.start(t, transport);
      // A check without an answer resets at once, and where the system closes such clients nobody hears of it.
      const check = ['option tcp-check', 'tcp-check connect send-proxy', 'tcp-check expect string alive'];
      const haproxy = await startHaproxy(t, {
        doors: { main: '127.0.0.1' },
        defaults: ['option log-health-checks', ...check],
        config: ({ main }) => listenSection(main, `${behind.at} check inter 50ms fall 1 rise 1 ${words}`),
      });
      const { channel, header } = await behind.first();
      assert.deepEqual([header.version, header.command], [version, command]);
      if (command === 'local') assert.equal(effectiveRemote(header), null);
      else assert.deepEqual(effectiveRemote(header), channel.remote);
      channel.send(latin1('alive'));
      await haproxy.until(/Health check for server main\/behind succeeded/u);
    });
  }
};

onEachTransport('behind HAProxy', behindHaproxy, 'sockets');

describe('behind HAProxy with TLS', () => {
  test('what the client’s TLS was is told', { skip }, async (t) => {
    const behind = await Behind.start(t, nodeTransport);
    let pems = { server: '', client: '' };
    const options = 'ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c';
    const { doors } = await startHaproxy(t, {
      doors: { main: '127.0.0.1' },
      config: ({ main }, folder) => {
        pems = { server: certificate(folder, 'door.example'), client: certificate(folder, 'client.example') };
        const tls = `ssl crt ${pems.server} alpn chat/1,chat/2 verify optional ca-file ${pems.client}.crt`;
        return listenSection(main, `${behind.at} send-proxy-v2 proxy-v2-options ${options}`, tls);
      },
    });
    for (const withCertificate of [false, true]) {
      behind.found.length = 0;
      const pem = readFileSync(pems.client);
      const client = connectTls({
        host: '127.0.0.1',
        port: doors.main.port,
        ca: readFileSync(`${pems.server}.crt`),
        servername: 'door.example',
        ALPNProtocols: ['chat/2'],
        ...(withCertificate ? { key: pem, cert: pem } : {}),
      });
      t.after(() => client.destroy());
      client.on('error', () => {});
      client.write('x');
      const { header } = await behind.first();
      assert.deepEqual(header.source, { family: 'ipv4', host: '127.0.0.1', port: client.localPort });
      assert.equal(header.authority, 'door.example');
      assert.equal(header.alpn, 'chat/2');
      assert.deepEqual(
        { ...header.ssl, tlvs: [] },
        {
          tls: true,
          certOnConnection: withCertificate,
          certInSession: withCertificate,
          // HAProxy's own number says success in both cases.
          verified: withCertificate,
          verifyResult: 0,
          version: client.getProtocol(),
          cn: withCertificate ? 'client.example' : null,
          cipher: client.getCipher().name,
          sigAlg: 'ecdsa-with-SHA256',
          keyAlg: 'EC256',
          tlvs: [],
        },
      );
      client.destroy();
    }
  });
});

const beforeHaproxy = (transport: Transport): void => {
  const source: Address = { family: 'ipv4', host: '192.0.2.7', port: 4321 };
  const destination: Address = { family: 'ipv4', host: '198.51.100.1', port: 25 };
  const source6: Address = { family: 'ipv6', host: '2001:db8::7', port: 4321 };
  const destination6: Address = { family: 'ipv6', host: '2001:db8::1', port: 25 };
  const tlvs = [
    ...proxyTlvs({ uniqueId: latin1('id'), netns: 'blue', ssl: { cn: 'me' } }),
    { type: 0xe0, value: latin1('x') },
  ];

  const rows: readonly [string, ProxyOutOptions, Address | null][] = [
    ['version 1', { version: 1, source, destination }, source],
    ['version 1 with IPv6', { version: 1, source: source6, destination: destination6 }, source6],
    ['version 1 without addresses', { version: 1, source, destination: destination6 }, null],
    ['version 2', { source, destination }, source],
    ['version 2 with IPv6', { source: source6, destination: destination6 }, source6],
    ['version 2 with extensions and a checksum', { source, destination, tlvs, checksum: true }, source],
    ['its own addresses', {}, null],
    ['LOCAL', 'local', null],
  ];
  for (const [name, options, told] of rows) {
    test(`what is sent is understood: ${name}`, { skip }, async (t) => {
      const behind = await Behind.start(t, transport);
      const { doors } = await startHaproxy(t, {
        doors: { main: '127.0.0.1' },
        config: ({ main }) => listenSection(main, `${behind.at} send-proxy-v2`, 'accept-proxy'),
      });
      const client = await dial(t, transport, doors.main);
      client.send(proxyPreamble(options, client));
      client.send(latin1('hello'));
      const { header, ear } = await behind.first();
      await until(() => ear.text === 'hello', 'what the client sent');
      assert.deepEqual(header.source, told ?? client.local);
    });
  }

  test('a checksum that is wrong is found out', { skip }, async (t) => {
    const behind = await Behind.start(t, transport);
    const { doors } = await startHaproxy(t, {
      doors: { main: '127.0.0.1' },
      config: ({ main }) => listenSection(main, `${behind.at} send-proxy-v2`, 'accept-proxy'),
    });
    const client = await dial(t, transport, doors.main);
    const heard = new Ear(client, true);
    const bytes = proxyPreamble({ source, destination, checksum: true }, client);
    bytes[16] = (bytes[16] as number) ^ 1;
    client.send(bytes);
    await until(() => heard.ended || heard.closed !== null, 'the end');
    assert.equal(behind.found.length, 0);
  });
};

onEachTransport('before HAProxy', beforeHaproxy, 'sockets');

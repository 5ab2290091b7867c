import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { createServer } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { certificates, files } from '../support/certificates.ts';
import type { CertificateFiles } from '../support/certificates.ts';
import { endAll } from '../support/nets.ts';
import { start, startServing } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place does the example get the same copy of portside as this file.
const { default: smtp, mails } = await import('../../examples/smtp-sink.ts');

interface Sink {
  readonly server: Server;
  readonly port: number;
  readonly paths: CertificateFiles;
  /** What came since the start. */
  readonly came: () => { from: string; to: readonly string[]; text: string; secure: boolean }[];
  readonly errors: unknown[];
}

/** The sink in this process, so that what it keeps can be looked at. */
async function sink(t: TestContext, secure = true): Promise<Sink> {
  t.mock.method(console, 'log', () => {});
  const paths = files(t);
  const tls = secure ? paths.server : undefined;
  const errors: unknown[] = [];
  const server = createServer(smtp, {
    listen: 'tcp://127.0.0.1:0',
    tls,
    onError: (error) => errors.push(error),
  });
  await server.start();
  t.after(() => server.stop({ grace: 0 }));
  const [address] = server.addresses;
  assert.ok(address !== undefined && 'port' in address);
  const seen = new Set(mails());
  const came: Sink['came'] = () =>
    mails()
      .filter((mail) => !seen.has(mail))
      .map(({ text, ...mail }) => ({ ...mail, text: Buffer.from(text).toString('latin1') }));
  return { server, port: address.port, paths, came, errors };
}

function swaks(t: TestContext, port: number, ...more: readonly string[]): Program {
  const envelope = ['--from', 'ada@example.org', '--to', 'bob@example.org,eve@example.org'];
  return start(t, 'swaks', [
    '--server',
    `127.0.0.1:${port}`,
    '--helo',
    'test',
    ...envelope,
    '--timeout',
    '10',
    ...more,
  ]);
}

function curl(t: TestContext, port: number, file: string, ...more: readonly string[]): Program {
  const envelope = [
    '--mail-from',
    'ada@example.org',
    '--mail-rcpt',
    'bob@example.org',
    '--mail-rcpt',
    'eve@example.org',
  ];
  return start(t, 'curl', [
    '-sS',
    `smtp://127.0.0.1:${port}`,
    ...envelope,
    '--upload-file',
    file,
    '--max-time',
    '20',
    ...more,
  ]);
}

const envelope = { from: 'ada@example.org', to: ['bob@example.org', 'eve@example.org'] };
const TEXT = 'Subject: dots\r\n\r\n.\r\n..\r\n.one\r\nlast\r\n';
/** As swaks wants it: it ends lines by CRLF itself, and stuffs dots. */
const DATA = String.raw`Subject: dots\n\n.\n..\n.one\nlast`;

describe('examples/smtp-sink.ts', () => {
  for (const [what, flags] of [
    ['in the clear', []],
    ['pipelined', ['--pipeline']],
    ['with STARTTLS', ['--tls']],
    ['with STARTTLS and pipelined', ['--tls', '--pipeline']],
    ['with STARTTLS by TLS 1.2', ['--tls', '--tls-protocol', 'tlsv1_2']],
  ] as const) {
    test(`takes a mail of swaks ${what}, byte by byte`, async (t) => {
      const { port, paths, came, errors } = await sink(t);
      const secure = flags.some((flag) => flag === '--tls');
      const trust = secure ? ['--tls-verify', '--tls-ca-path', paths.ca] : [];
      const client = swaks(t, port, '--data', DATA, ...flags, ...trust);
      assert.deepEqual(await client.exit, { code: 0, signal: null }, client.out);
      // swaks puts an empty line behind a text of its own.
      assert.deepEqual(came(), [{ ...envelope, text: came()[0]?.text, secure }]);
      assert.equal(came()[0]?.text.replace(/(?:\r\n)+$/u, '\r\n'), TEXT);
      assert.deepEqual(errors, []);
    });
  }

  test('takes a mail of curl, in the clear and with STARTTLS, byte by byte', async (t) => {
    const { port, paths, came, errors } = await sink(t);
    const file = join(paths.folder, 'mail.txt');
    const text = `Subject: long\r\n\r\n${'.x'.repeat(450)}\r\n${`.${'y'.repeat(70)}\r\n`.repeat(40_000)}`;
    writeFileSync(file, text);
    for (const [secure, flags] of [
      [false, []],
      [true, ['--ssl-reqd', '--cacert', paths.ca]],
    ] as const) {
      const client = curl(t, port, file, ...flags);
      assert.deepEqual(await client.exit, { code: 0, signal: null }, client.err);
      const mail = came().at(-1);
      assert.deepEqual({ ...mail, text: null }, { ...envelope, text: null, secure });
      assert.ok(mail?.text === text);
    }
    assert.deepEqual(errors, []);
  });

  test('refuses a mail that is too large, said before or not, and goes on', async (t) => {
    const { port, paths, came, errors } = await sink(t);
    const file = join(paths.folder, 'mail.txt');
    writeFileSync(file, `Subject: large\r\n\r\n${`${'x'.repeat(998)}\r\n`.repeat(8_400)}`);
    const told = curl(t, port, file);
    assert.notEqual((await told.exit).code, 0);
    assert.match(told.err, /552/u);
    const client = await dialled(t, port);
    for (const command of ['EHLO test', 'MAIL FROM:<ada@example.org>', 'RCPT TO:<bob@example.org>', 'DATA'])
      await say(client, command);
    void client.write(`${'x'.repeat(998)}\r\n`.repeat(8_400));
    assert.equal(await say(client, '.'), '552 5.3.4 The mail is too large');
    assert.equal(await say(client, 'NOOP'), '250 2.0.0 OK');
    assert.deepEqual(came(), []);
    assert.deepEqual(errors, []);
  });

  test('offers no STARTTLS without a certificate', async (t) => {
    const { port, came } = await sink(t, false);
    const client = swaks(t, port, '--tls');
    // Its word for: there is no TLS.
    assert.deepEqual(await client.exit, { code: 29, signal: null });
    assert.deepEqual(came(), []);
  });

  test('talks with openssl s_client -starttls smtp, which begins anew under TLS', async (t) => {
    const { port, paths, came } = await sink(t);
    const trust = ['-CAfile', paths.ca, '-verify_return_error', '-servername', 'localhost'];
    const args = ['-connect', `127.0.0.1:${port}`, '-starttls', 'smtp', '-crlf', '-quiet', ...trust];
    const client = start(t, 'openssl', ['s_client', ...args]);
    // What it said in the clear, its EHLO, counts no more.
    client.write('MAIL FROM:<ada@example.org>\n');
    await client.until(/^503 5\.5\.1 EHLO first\r\n/mu);
    client.write('EHLO test\n');
    await client.until(/^250 ENHANCEDSTATUSCODES\r\n/mu);
    assert.doesNotMatch(client.out, /250-STARTTLS/u);
    client.write('MAIL FROM:<ada@example.org>\nRCPT TO:<bob@example.org>\nDATA\n');
    await client.until(/^354 /mu);
    client.write('hello\n..\n.\n');
    await client.until(/^250 2\.0\.0 Kept\r\n/mu);
    client.write('QUIT\n');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.match(client.out, /221 2\.0\.0 Bye\r\n$/u);
    assert.deepEqual(came(), [
      { from: 'ada@example.org', to: ['bob@example.org'], text: 'hello\r\n.\r\n', secure: true },
    ]);
  });
});

async function dialled(t: TestContext, port: number): Promise<Connection> {
  const client = await connect({ host: '127.0.0.1', port });
  t.after(() => endAll(client));
  assert.equal(await client.readLine(), '220 localhost ESMTP sink');
  return client;
}

/** The last line of the answer to a command. */
async function say(client: Connection, command: string): Promise<string | null> {
  void client.write(`${command}\r\n`);
  return reply(client);
}

async function reply(client: Connection): Promise<string | null> {
  for (;;) {
    const line = await client.readLine();
    if (line?.[3] !== '-') return line;
  }
}

describe('examples/smtp-sink.ts, for who means harm,', () => {
  for (const [what, command] of [
    ['with it', 'STARTTLS\r\n'],
    ['with its EHLO', 'EHLO test\r\nSTARTTLS\r\n'],
  ] as const) {
    test(`obeys nothing that came behind STARTTLS in the clear, ${what}`, async (t) => {
      const { server, port, came } = await sink(t);
      const client = await dialled(t, port);
      // Somebody in between adds a mail, which is to be sent in the name of the client once TLS is on.
      const added = 'EHLO eve\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nharm\r\n.\r\n';
      void client.write(command + added);
      const lines: string[] = [];
      const all = (async (): Promise<void> => {
        for (let line = await client.readLine(); line !== null; line = await client.readLine()) lines.push(line);
      })();
      await all.catch(() => {});
      // At most the answers to what was the client's own.
      assert.doesNotMatch(lines.join('\n'), /354|2\.1\.0|2\.1\.5|Kept/u);
      assert.deepEqual(came(), []);
      assert.deepEqual(server.status().errors, 0);
    });
  }

  test('keeps nothing of the session that was in the clear', async (t) => {
    const { port, came } = await sink(t);
    const client = await dialled(t, port);
    await say(client, 'EHLO test');
    assert.equal(await say(client, 'MAIL FROM:<eve@example.org>'), '250 2.1.0 OK');
    assert.equal(await say(client, 'RCPT TO:<bob@example.org>'), '250 2.1.5 OK');
    assert.equal(await say(client, 'STARTTLS'), '220 2.0.0 Go ahead');
    await client.upgradeTls({ tls: { ca: certificates().ca, servername: 'localhost' } });
    assert.equal(await say(client, 'DATA'), '503 5.5.1 MAIL and RCPT first');
    assert.equal(await say(client, 'STARTTLS'), '503 5.5.1 TLS is on already');
    assert.equal(await say(client, 'MAIL FROM:<ada@example.org>'), '503 5.5.1 EHLO first');
    assert.deepEqual(came(), []);
  });

  test('takes no line feed alone for the end of a mail', async (t) => {
    const { port, came } = await sink(t);
    const client = await dialled(t, port);
    await say(client, 'EHLO test');
    await say(client, 'MAIL FROM:<ada@example.org>');
    await say(client, 'RCPT TO:<bob@example.org>');
    await say(client, 'DATA');
    const smuggled = ['\n.\n', '\n.\r\n', '\r.\r', '\r\n.\n']
      .map((end) => `a${end}MAIL FROM:<eve@example.org>\r\n`)
      .join('');
    void client.write(smuggled);
    assert.equal(await say(client, '.'), '250 2.0.0 Kept');
    assert.equal(await say(client, 'NOOP'), '250 2.0.0 OK');
    assert.deepEqual(
      came().map(({ from, text }) => [from, text]),
      [['ada@example.org', smuggled.replace('\r\n.\n', '\r\n\n')]],
    );
  });

  test('has no patience without end', async (t) => {
    const { port } = await sink(t);
    const silly = await dialled(t, port);
    for (let i = 1; i < 20; i += 1) assert.equal(await say(silly, 'HELP'), '500 5.5.2 Unknown command');
    assert.equal(await say(silly, 'HELP'), '500 5.5.2 Unknown command');
    assert.equal(await reply(silly), '421 4.7.0 Too many errors');
    assert.equal(await silly.readLine(), null);
    const long = await dialled(t, port);
    void long.write('x'.repeat(4_000));
    assert.equal(await reply(long), '500 5.5.2 That is too long');
    assert.equal(await long.readLine().catch(() => null), null);
    const crowd = await dialled(t, port);
    await say(crowd, 'EHLO test');
    await say(crowd, 'MAIL FROM:<>');
    for (let i = 0; i < 100; i += 1) assert.equal(await say(crowd, `RCPT TO:<bob${i}@example.org>`), '250 2.1.5 OK');
    assert.equal(await say(crowd, 'RCPT TO:<eve@example.org>'), '452 4.5.3 Too many recipients');
  });
});

describe('examples/smtp-sink.ts, when the server stops,', () => {
  test('sends away who waits, and takes the mail that is on its way', async (t) => {
    const { server, port } = await startServing(t, 'examples/smtp-sink.ts');
    const [idle, busy] = [await dialled(t, port), await dialled(t, port)];
    await say(busy, 'EHLO test');
    await say(busy, 'MAIL FROM:<ada@example.org>');
    await say(busy, 'RCPT TO:<bob@example.org>');
    await say(busy, 'DATA');
    await busy.write('half\r\n');
    assert.equal(await say(idle, 'NOOP'), '250 2.0.0 OK');
    server.signal('SIGTERM');
    assert.equal(await reply(idle), '421 4.3.2 The server is stopping');
    assert.equal(await idle.readLine(), null);
    await idle.close();
    void busy.write('another\r\n');
    assert.equal(await say(busy, '.'), '250 2.0.0 Kept');
    assert.equal(await reply(busy), '421 4.3.2 The server is stopping');
    await busy.close();
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.match(server.out, /^ada@example\.org → bob@example\.org: 15 bytes\n/mu);
    assert.doesNotMatch(server.err, /handler failed/u);
  });
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { main } from '../../src/cli/main.ts';
import { inCheckout, startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { folderWith } from './command.ts';

/** Logs what its client says, and does what some lines ask for. */
const LOGGING = `
import type { Connection, Context } from 'portside';

export default async function logging(conn: Connection, { log }: Context): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line.startsWith('fail')) throw new Error(line.replaceAll('|', '\\n'));
    if (line === 'flood') for (let i = 0; i < 40_000; i += 1) log.info({ i, text: 'x'.repeat(300) }, 'flood');
    else log.info({ said: line, token: 'hunter2' }, 'said ' + line);
    log.debug('a detail');
    await conn.write('ok\\n');
  }
}
`;

type Fields = Readonly<Record<string, unknown>>;

/** Each line of a text, which all have to be JSON. */
function parsed(text: string): Fields[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Fields);
}

const AT_INFO = { PORTSIDE_LOG_LEVEL: 'info' };

/** \`portside serve\` of the handler, and the port, which stands in \`stream\`. */
async function startLogging(
  t: TestContext,
  stream: 'out' | 'err',
  args: readonly string[],
  env: Readonly<Record<string, string>> = AT_INFO,
): Promise<{ readonly server: Program; readonly port: number }> {
  const file = folderWith(t, { 'logging.ts': LOGGING })('logging.ts');
  const server = startPortside(t, ['serve', file, '--port', '0', ...args], env);
  const [, port] = await server.until(/serving \S+ on 127\.0\.0\.1:(\d+)/u, stream);
  return { server, port: Number(port) };
}

/** Says lines, waits for as many answers, and ends in order; gives where it came from. */
async function say(port: number, lines: readonly string[], answers = lines.length): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const from = `127.0.0.1:${socket.localPort ?? 0}`;
  // Some are reset, which is no error here.
  socket.on('error', () => {});
  let text = '';
  const told = new Promise<void>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      if (text.split('\n').length > answers) resolve();
    });
    socket.on('close', () => resolve());
  });
  socket.write(lines.map((line) => `${line}\n`).join(''));
  if (answers > 0) await told;
  socket.end();
  if (!socket.closed) await new Promise((resolve) => socket.on('close', resolve));
  return from;
}

async function stopped(server: Program): Promise<void> {
  server.signal('SIGTERM');
  assert.deepEqual(await server.exit, { code: 0, signal: null }, server.err);
}

/** What a peer sends who wants to be in the log as somebody else. */
const FORGED = `\u001b[2J\r{"level":"fatal","msg":"forged"}\u2028portside: forged`;

describe('portside serve --log-format json', () => {
  test('has nothing but JSON lines: what the command says, connections, errors, handlers, who administers it', async (t) => {
    const { server, port } = await startLogging(t, 'err', ['--log-format', 'json', '--admin', '127.0.0.1:0']);
    const from = await say(port, ['hello', FORGED]);
    await say(port, ['fail: bad|{"level":"fatal","msg":"forged"}'], 0);
    await server.until(/"handler failed"/u, 'err');
    const [, admin = ''] = await server.until(/admin on (http:\/\/[^;]+);/u, 'err');
    const headers = { 'content-type': 'application/json' };
    assert.equal((await fetch(`${admin}/api/suspend`, { method: 'POST', headers, body: '{}' })).status, 200);
    await server.until(/"audit":/u, 'err');
    await stopped(server);
    assert.equal(server.out, '');
    const lines = parsed(server.err);
    for (const { level, time, pid } of lines)
      assert.ok(typeof pid === 'number' && !Number.isNaN(Date.parse(String(time))) && level !== 'fatal');
    const said = (text: string | RegExp): Fields => {
      const found = lines.filter(({ msg }) => (typeof text === 'string' ? msg === text : text.test(String(msg))));
      assert.equal(found.length, 1, `${String(text)} in ${server.err}`);
      return found[0]!;
    };
    assert.match(String(said(/^serving /u)['msg']), /; connect with: nc 127\.0\.0\.1 \d+$/u);
    const { level, conn, peer, token } = said('said hello');
    assert.deepEqual([level, conn, peer, token], ['info', 1, from, '[hidden]']);
    const closed = lines.filter(({ msg }) => msg === 'connection closed');
    assert.deepEqual(
      closed.map((line) => [line['conn'], line['reason'], line['bytesWritten']]),
      [
        [1, 'ended', 6],
        [2, 'aborted', 0],
      ],
    );
    assert.equal(closed[0]?.['peer'], from);
    const { err, conn: failed } = said('handler failed') as { err: Record<string, string>; conn: number };
    assert.deepEqual(
      [failed, err['type'], err['message']],
      [2, 'Error', String.raw`fail: bad\u000a{"level":"fatal","msg":"forged"}`],
    );
    const { audit } = said(/^suspend by 127\.0\.0\.1:\d+: /u) as { audit: Fields };
    assert.deepEqual([audit['action'], audit['result'], audit['token']], ['suspend', 'done', false]);
    said(/^SIGTERM, /u);
    said(/^stopped; /u);
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(server.err, /[\u0000-\u0009\u000b-\u001f\u2028]|hunter2/u);
  });

  test('lines of workers come out whole, each with its worker', async (t) => {
    const { server, port } = await startLogging(t, 'err', [
      '--log-format',
      'json',
      '--workers',
      '2',
      '--dispatch',
      'round-robin',
    ]);
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
    const peers = await Promise.all(Array.from({ length: 8 }, () => say(port, lines)));
    await say(port, ['fail'], 0);
    await stopped(server);
    const all = parsed(server.err);
    for (const peer of peers) {
      const own = all.filter((line) => line['peer'] === peer);
      assert.deepEqual(
        own.map(({ said, reason }) => said ?? reason),
        [...lines, 'ended'],
      );
      assert.equal(new Set(own.map(({ worker, conn }) => `${String(worker)}/${String(conn)}`)).size, 1);
    }
    assert.deepEqual(
      new Set(all.filter(({ said }) => said !== undefined).map(({ worker }) => worker)),
      new Set([0, 1]),
    );
    const errors = all.filter(({ level }) => level === 'error');
    assert.deepEqual(
      errors.map(({ msg, worker }) => [msg, typeof worker]),
      [['handler failed', 'number']],
    );
  });

  test('what can’t be started is told in a line too', async (t) => {
    const { port } = await startLogging(t, 'err', ['--log-format', 'json']);
    const file = folderWith(t, { 'logging.ts': LOGGING })('logging.ts');
    const second = startPortside(t, ['serve', file, '--port', String(port), '--log-format', 'json'], AT_INFO);
    assert.equal((await second.exit).code, 1);
    const [{ level, msg, err }] = parsed(second.err) as [Fields];
    assert.equal(level, 'fatal');
    assert.match(String(msg), /is in use/u);
    assert.equal((err as Fields)['code'], 'EADDRINUSE');
  });
});

describe('the log of portside serve', () => {
  test('is JSON lines beside the words where nobody looks, and errors are told in words, the same ones counted', async (t) => {
    const { server, port } = await startLogging(t, 'out', []);
    const from = await say(port, ['hello']);
    for (let i = 0; i < 5; i += 1) await say(port, [`fail ${FORGED}`], 0);
    await stopped(server);
    const [words, lines] = [[] as string[], [] as Fields[]];
    for (const line of server.err.trimEnd().split('\n')) {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Fields);
      else words.push(line);
    }
    assert.deepEqual(
      lines.map(({ msg, conn }) => [msg, conn]),
      [['said hello', 1], ...[1, 2, 3, 4, 5, 6].map((conn) => ['connection closed', conn])],
    );
    assert.equal(lines[0]?.['peer'], from);
    const [first, ...more] = words;
    assert.match(
      first ?? '',
      /^portside: the handler failed for 127\.0\.0\.1:\d+: fail \\u001b\[2J\\u000d\{.*\\u2028portside: forged \(/u,
    );
    const times = more.flatMap(
      (line) => /^portside: (once|\d+ times) more within a second: fail /u.exec(line)?.[1] ?? [],
    );
    const again = more.filter((line) => line.includes('the handler failed for')).length;
    const count = times.reduce((sum, one) => sum + (one === 'once' ? 1 : Number.parseInt(one, 10)), 0);
    assert.equal(again + count, 4, server.err);
    assert.ok(times.length > 0, server.err);
  });

  test('--log-format pretty is for people, and nobody can forge a line of it', async (t) => {
    const { server, port } = await startLogging(t, 'out', ['--log-format', 'pretty', '--log-level', 'debug']);
    await say(port, ['hello', FORGED]);
    await stopped(server);
    const time = String.raw`\[\d\d:\d\d:\d\d\.\d{3}\]`;
    const who = String.raw`#1 127\.0\.0\.1:\d+`;
    const wanted = [
      `${time} INFO: ${who} said hello \\{"said":"hello","token":"\\[hidden\\]"\\}`,
      `${time} DEBUG: ${who} a detail`,
      `${time} INFO: ${who} said \\\\u001b.*`,
      `${time} DEBUG: ${who} a detail`,
      `${time} INFO: ${who} closed after \\d+ ms: ended; \\d+ bytes in, 6 out`,
      'portside: SIGTERM, stopping',
      'portside: stopped; no connections were left',
    ];
    const lines = server.err.trimEnd().split('\n');
    assert.equal(lines.length, wanted.length, server.err);
    for (const [i, line] of lines.entries()) assert.match(line, new RegExp(`^${wanted[i]!}$`, 'u'));
  });

  test('a reader that stalls costs lines, and the server goes on', async (t) => {
    const file = folderWith(t, { 'logging.ts': LOGGING })('logging.ts');
    const node = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
    const words = [...node, inCheckout('src/cli/bin.ts'), 'serve', file, '--port', '0', '--log-format', 'json'];
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...AT_INFO },
    });
    const exit = once(child, 'exit');
    t.after(() => child.kill('SIGKILL'));
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (more: string) => (text += more));
    while (!/serving/u.test(text)) await once(child.stderr, 'data');
    child.stderr.pause();
    const port = Number(/127\.0\.0\.1:(\d+)/u.exec(text)?.[1]);
    // Some 16 MB, of which a pipe takes little.
    await say(port, ['flood']);
    for (let i = 0; i < 5; i += 1) await say(port, [`after ${i}`]);
    child.stderr.resume();
    while (!/"lost":\d+/u.test(text)) await once(child.stderr, 'data');
    await say(port, ['at last']);
    while (!/said at last/u.test(text)) await once(child.stderr, 'data');
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null]);
    const lines = parsed(text);
    const flood = lines.filter(({ msg }) => msg === 'flood').length;
    const lost = lines.reduce((sum, line) => sum + Number(line['lost'] ?? 0), 0);
    // Those after it, and the ends of their connections, may be among the lost.
    const rest = lines.filter(({ msg }) => /^said after|^connection closed$/u.test(String(msg))).length;
    assert.ok(flood < 40_000 && lost > 0);
    assert.equal(flood + lost + rest, 40_000 + 5 + 7);
  });

  test('its settings come from flags, the environment and the config file, in this order', async (t) => {
    const options = `handler: './logging.ts', port: 0, logLevel: 'debug', logFormat: 'json', accessLog: false`;
    const at = folderWith(t, { 'logging.ts': LOGGING, 'config.ts': `export default { ${options} };` });
    for (const [args, wanted] of [
      [[], ['said hello']],
      [
        ['--log-level', 'trace', '--access-log'],
        ['said hello', 'a detail', 'connection closed'],
      ],
    ] as const) {
      const server = startPortside(t, ['serve', '--config', at('config.ts'), ...args], AT_INFO);
      const [, port] = await server.until(/serving \S+ on 127\.0\.0\.1:(\d+)/u, 'err');
      await say(Number(port), ['hello']);
      await stopped(server);
      const lines = parsed(server.err).filter(({ msg }) => /^said|detail|^connection/u.test(String(msg)));
      assert.deepEqual(
        lines.map(({ msg }) => msg),
        wanted,
      );
    }
  });

  test('what is wrong with them is told', async () => {
    const file = inCheckout('examples/echo.ts');
    for (const [args, told] of [
      [['--log-level', 'loud'], /--log-level <level>' argument 'loud' is invalid\. It can be trace, debug, info/u],
      [['--log-format', 'xml'], /It can be auto, pretty or json/u],
    ] as const) {
      let err = '';
      const code = await main(['serve', file, '--port', '0', ...args], { out: () => {}, err: (text) => (err += text) });
      assert.equal(code, 2);
      assert.match(err, told);
    }
  });
});

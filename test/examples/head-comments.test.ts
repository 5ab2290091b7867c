import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { files } from '../support/certificates.ts';
import { inCheckout, start, startNode, startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';

/** What a client is given to say, and what it shows. */
interface Trial {
  readonly says: string;
  readonly shows: RegExp;
}

const trials: Readonly<Record<string, Trial>> = {
  'chat.config.ts': { says: 'ann\n', shows: /^You are the first one here\.\n/mu },
  'chat.ts': { says: 'ann\n', shows: /^You are the first one here\.\n/mu },
  'count.ts': { says: 'who\n', shows: /^You are visitor 1\./u },
  'daytime-thunk.ts': { says: '', shows: /^\d{4}-\d\d-\d\dT.*\r\n$/u },
  'daytime.ts': { says: '', shows: /\d\d:\d\d:\d\d[^\n]*\n$/u },
  'echo-protocol.ts': { says: 'hello\n', shows: /^hello\n$/u },
  'echo.ts': { says: 'hello\n', shows: /^hello\n$/u },
  'http.ts': { says: '', shows: /^Hello, 127\.0\.0\.1! This is thread \d+\.\n$/u },
  'presence-board.ts': { says: 'name ann\n', shows: /^\+ ann \(you\)\n/mu },
  'proxy.ts': { says: 'hello\n', shows: /^hello\n$/u },
  'redis.ts': { says: '', shows: /^(?:OK\n|0\n|subscribe\nnews\n1\n)|INCR: [\d.]+ requests per second/u },
  'smtp-sink.ts': { says: 'NOOP\n', shows: /^(?:<[-~] {2})?250 2\.0\.0/mu },
  'space-chat.ts': { says: 'hello\n', shows: /^You are userA\.\nuserA: hello\n/u },
  'space-echo.ts': { says: 'hello\n', shows: /^hello\n$/u },
  'supervisor.ts': { says: 'kill ann\n', shows: /^ann has stopped: killed\n[^]*^ann works\n/mu },
  'tls-echo.ts': { says: 'hello\n', shows: /^TLSv1\.3 .*certificate.*\r\nhello\n$/u },
};
/** Their clients go by way of HAProxy, or need a server of DNS: see their own tests. */
const ELSEWHERE = ['whoami.ts', 'dns-resolver.ts'];
/** A part of another example, and the client of another one: see its own test. */
const PARTS = ['resp.ts', 'space-chat-client.ts'];

const examples = readdirSync(inCheckout('examples')).filter((name) => name.endsWith('.ts') && !PARTS.includes(name));

/** A server's command, and those of the clients behind it, as a head comment has them. */
interface Served {
  readonly command: string;
  readonly clients: readonly string[];
}

/** The indented lines of the head comment, without remarks in brackets. One that begins with a flag goes on with the one before. */
function commandsOf(example: string): Served[] {
  const [head = ''] = /^(?:\/\/.*\n)+/u.exec(readFileSync(inCheckout(`examples/${example}`), 'utf8')) ?? [];
  const lines = head.replaceAll(/\n\/\/ {5}(?=--)/gu, ' ').match(/(?<=^\/\/ {3})\S.*?(?=$| {2,}\()/gmu) ?? [];
  const served: { command: string; clients: string[] }[] = [];
  for (const line of lines) {
    if (/^(?:\w+=\S+ )?(?:npx portside|node) /u.test(line)) served.push({ command: line, clients: [] });
    else if (!ELSEWHERE.includes(example)) served.at(-1)?.clients.push(line);
  }
  return served;
}

/** A port below those that the system gives away by itself, so that nobody has it when it is bound in a moment. */
async function freePort(): Promise<string> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await Promise.race([
      once(server, 'listening').then(() => true),
      once(server, 'error').then(() => false),
    ]);
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return String(port);
  }
}

const PORT = /(?<=--port |127\.0\.0\.1[: ])\d+/gu;

/** Runs commands with free ports for those that they name, and files for those that they speak of. */
class Setting {
  readonly #t: TestContext;
  readonly #ports = new Map<string, string>();
  readonly #named: readonly (readonly [string, string])[];

  constructor(t: TestContext) {
    this.#t = t;
    const { folder, server, client, ca } = files(t);
    const mail = join(folder, 'mail.txt');
    writeFileSync(mail, 'Subject: hello\r\n\r\nhello\r\n');
    this.#named = [
      ['server.pem', server.cert],
      ['server.key', server.key],
      ['client.pem', client.cert],
      ['client.key', client.key],
      [' ca.pem', ` ${ca}`],
      ['mail.txt', mail],
    ];
  }

  async #real(command: string): Promise<string> {
    let real = command;
    for (const [name, path] of this.#named) real = real.replaceAll(name, path);
    for (const [port] of command.matchAll(PORT)) if (!this.#ports.has(port)) this.#ports.set(port, await freePort());
    return real.replaceAll(PORT, (port) => this.#ports.get(port) as string);
  }

  /** Starts a server; `port` is the one of its comment where its command doesn't name it. */
  async serve(command: string, port: string): Promise<Program> {
    const [, variable = '', rest = ''] = /^(\w+=\S+ )?(.*)$/u.exec(await this.#real(command)) ?? [];
    const [name = '', value = ''] = variable.trim().split('=');
    await this.#real(`--port ${port}`);
    const own = this.#ports.get(port) as string;
    const [program, ...words] = rest.split(' ');
    const server =
      program === 'node'
        ? startNode(this.#t, words, { PORT: own })
        : startPortside(
            this.#t,
            [...words.slice(1), ...(/--port|-e /u.test(rest) ? [] : ['--port', own])],
            name === '' ? {} : { [name]: value },
          );
    await server.until(/127\.0\.0\.1[: ]\d+.*\n/u);
    return server;
  }

  async client(command: string): Promise<Program> {
    const real = await this.#real(command);
    const port = this.#ports.get('6379') ?? '';
    // The port of Redis is not said where it is the usual one, and a benchmark is not for a test to wait for.
    const more = real.startsWith('redis-benchmark') ? ' -n 2000' : '';
    return start(this.#t, 'sh', ['-c', `exec ${real.replace(/^redis-\w+/u, (redis) => `${redis} -p ${port}${more}`)}`]);
  }
}

describe('what the head comments of the examples say', { concurrency: 2 }, () => {
  test('is how to run and to try each of them', () => {
    for (const example of examples) {
      const served = commandsOf(example);
      assert.ok(served.length > 0, example);
      if (ELSEWHERE.includes(example)) continue;
      assert.ok(served[0]?.clients.length, example);
      assert.ok(trials[example] !== undefined, `${example} has no trial`);
    }
  });

  for (const example of examples) {
    for (const { command, clients } of commandsOf(example)) {
      test(`works: ${command}`, async (t) => {
        const setting = new Setting(t);
        const upstream = example === 'proxy.ts' ? 'npx portside serve examples/echo.ts --port 5000' : null;
        if (upstream !== null) await setting.serve(upstream, '5000');
        const [named = '7000'] = (clients[0] ?? command).match(PORT) ?? (example === 'redis.ts' ? ['6379'] : []);
        const server = await setting.serve(command, named);
        for (const each of clients) {
          const client = await setting.client(each);
          const { says, shows } = trials[example] as Trial;
          client.write(says);
          if (each.startsWith('curl ')) {
            assert.deepEqual(await client.exit, { code: 0, signal: null }, client.err);
            continue;
          }
          await client.until(shows);
          client.signal('SIGTERM');
          await client.exit;
        }
        server.signal('SIGTERM');
        assert.deepEqual(await server.exit, { code: 0, signal: null }, server.err);
        assert.doesNotMatch(server.err, /failed/u);
      });
    }
  }
});

describe('the examples', () => {
  test('have less than 300 lines each', () => {
    for (const example of [...examples, ...PARTS]) {
      const lines = readFileSync(inCheckout(`examples/${example}`), 'utf8').split('\n').length - 1;
      assert.ok(lines < 300, `${example} has ${lines}`);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { withoutHaproxy } from '../support/haproxy.ts';
import { inCheckout, startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { startHaproxyBefore, startNginxBefore, withoutNginx } from './balancer.ts';
import type { Backend, Balancer } from './balancer.ts';

/** A client's address that is not the balancer's. */
const CLIENT = '127.0.0.77';
const CONFIG = inCheckout('examples/load-balancers/backend.config.ts');
const NAMES = ['one', 'two'] as const;

interface Served extends Backend {
  readonly server: Program;
}

/** The server of the example under a name, when it serves. */
async function startBackend(t: TestContext, name: string): Promise<Served> {
  const args = ['serve', '--config', CONFIG, '--port', '0', '--admin', '127.0.0.1:0'];
  const server = startPortside(t, args, { NAME: name });
  const [, ready] = await server.until(/^portside: admin on http:\/\/127\.0\.0\.1:(\d+);/mu);
  const [, port] = await server.until(/^portside: serving .* on 127\.0\.0\.1:(\d+);/mu);
  return { server, port: Number(port), ready: Number(ready) };
}

/** One client's visit: it is greeted, says something, hears it, and both sides end. Gives who served it. */
async function visit(balancer: Balancer): Promise<string> {
  const conn = await connect({ host: '127.0.0.1', port: balancer.port }, { localHost: CLIENT, timeout: 10_000 });
  try {
    const name = await greeted(conn);
    await conn.write('hello\n');
    assert.equal(await conn.readLine({ timeout: 10_000 }), 'hello');
    await conn.closeWrite();
    assert.equal(await conn.read({ timeout: 10_000 }), null);
    assert.equal((await conn.closed).kind, 'ended');
    return name;
  } finally {
    conn.abort();
  }
}

/** What a backend says first: its name, and the client's own address, which only the PROXY header can have told it. */
async function greeted(conn: Connection): Promise<string> {
  const line = await conn.readLine({ timeout: 10_000 });
  assert.ok('port' in conn.local);
  const [, name = '', host, port] = /^(one|two): you are ([\d.]+):(\d+)$/u.exec(line ?? '') ?? [];
  assert.deepEqual({ host, port: Number(port) }, { host: CLIENT, port: conn.local.port }, String(line));
  return name;
}

/** Visits one after another, by several clients at once, until it is told to stop. */
class Load {
  readonly served: string[] = [];
  readonly failed: unknown[] = [];
  readonly #clients: readonly Promise<void>[];
  readonly #waiting: (() => void)[] = [];
  #going = true;

  constructor(balancer: Balancer, clients: number) {
    this.#clients = Array.from({ length: clients }, async () => {
      while (this.#going) {
        try {
          this.served.push(await visit(balancer));
        } catch (error) {
          this.failed.push(error);
        }
        for (const wake of this.#waiting.splice(0)) wake();
      }
    });
  }

  /** Waits until there were so many visits more. */
  async more(count: number): Promise<readonly string[]> {
    const from = this.served.length;
    while (this.served.length < from + count && this.failed.length === 0)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.served.slice(from);
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#clients);
  }
}

/** A connection that says nothing after it was greeted, on a server of that name. */
async function guestOf(name: string, balancer: Balancer): Promise<Connection> {
  for (;;) {
    const conn = await connect({ host: '127.0.0.1', port: balancer.port }, { localHost: CLIENT, timeout: 10_000 });
    if ((await greeted(conn)) === name) return conn;
    conn.abort();
  }
}

interface Kind {
  readonly name: string;
  readonly skip: string | false;
  readonly start: (t: TestContext, backends: readonly Backend[]) => Promise<Balancer>;
  /** What is told to the balancer, where it looks at no health by itself. */
  readonly takeOut?: ((balancer: Balancer, backend: Backend) => void) | undefined;
}

const kinds: readonly Kind[] = [
  { name: 'HAProxy', skip: withoutHaproxy(), start: startHaproxyBefore },
  {
    name: 'nginx',
    skip: withoutNginx(),
    start: startNginxBefore,
    takeOut: (balancer, { port }) =>
      balancer.change('backends.conf', (text) =>
        text.replace(new RegExp(`(server 127\\.0\\.0\\.1:${port})[^;]*;`, 'u'), '$1 down;'),
      ),
  },
];

for (const { name, skip, start, takeOut } of kinds) {
  describe(`examples/load-balancers: ${name} before two servers`, { skip }, () => {
    test('spreads the clients, and tells the servers who they are', async (t) => {
      const backends = await Promise.all(NAMES.map((each) => startBackend(t, each)));
      const balancer = await start(t, backends);
      const counts = { one: 0, two: 0 };
      for (let i = 0; i < 40; i += 1) counts[(await visit(balancer)) as 'one' | 'two'] += 1;
      // Each of nginx' processes takes turns for itself.
      assert.ok(counts.one >= 10 && counts.two >= 10, JSON.stringify(counts));
    });

    test('nobody is refused or reset while one of them drains under load', { timeout: 60_000 }, async (t) => {
      const backends = await Promise.all(NAMES.map((each) => startBackend(t, each)));
      const balancer = await start(t, backends);
      const [one] = backends;
      assert.ok(one !== undefined);
      const guest = await guestOf('one', balancer);
      const load = new Load(balancer, 4);
      const before = await load.more(100);
      assert.ok(before.includes('one') && before.includes('two'));
      const began = performance.now();
      one.server.signal('SIGTERM');
      takeOut?.(balancer, one);
      await one.server.until(/SIGTERM, accepting for 5s more/u, 'err');
      // Whoever is connected is served on through the lead, and then asked to go in order.
      assert.equal(await guest.read(), null);
      assert.ok(performance.now() - began >= 4_900, 'it left before the lead was over');
      await guest.close();
      assert.equal(guest.closeReason?.kind, 'ended');
      const exit = await one.server.exit;
      const after = await load.more(100);
      await load.stop();
      assert.deepEqual(load.failed, [], balancer.log());
      assert.ok(!after.includes('one'));
      assert.deepEqual(exit, { code: 0, signal: null });
      assert.match(one.server.err, /stopped; \d+ connections?: (?:\d+ finished)?(?:, )?(?:\d+ idle)?\n$/u);
    });
  });
}

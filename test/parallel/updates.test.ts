import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, watch, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import type { Connection } from '../../src/net/connection.ts';
import type { ParallelOptions } from '../../src/parallel/options.ts';
import type { ParallelServer } from '../../src/parallel/parallel-server.ts';
import type { TlsServerOptions } from '../../src/transport/tls/server-options.ts';
import { certificates, files } from '../support/certificates.ts';
import { serverTls } from '../support/tls.ts';
import {
  anyWay,
  ask,
  atEnd,
  dial,
  endOf,
  eventually,
  leavesNoThread,
  line,
  onEachWay,
  settled,
  startOn,
  worker,
} from './support.ts';
import type { Way } from './support.ts';
import type { Gate } from './workers/gated.ts';

const commands = worker('commands');
const { server: mine, other } = certificates();

/** What a client is shown at an endpoint. */
interface Shown {
  readonly name: string;
  readonly alpn: string | false | null;
}

async function shown(server: ParallelServer, place = 0): Promise<Shown> {
  const address = server.addresses[place];
  assert.ok(address !== undefined && 'port' in address);
  const socket = tlsConnect({
    host: address.host,
    port: address.port,
    servername: 'localhost',
    rejectUnauthorized: false,
    ALPNProtocols: ['chat/1'],
  });
  atEnd(async () => socket.destroy());
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  const { subjectaltname = '' } = socket.getPeerCertificate();
  const alpn = socket.alpnProtocol;
  socket.destroy();
  return { name: subjectaltname.includes('other.example.org') ? 'other' : 'mine', alpn };
}

/** What is shown at an endpoint by every worker: there is no telling who answers, so it is asked often enough. */
async function shownByAll(server: ParallelServer, place = 0): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < 4; i += 1) seen.add((await shown(server, place)).name);
  return seen;
}

/** Starts one worker, and one more that is held up while it starts until the gate is opened. */
async function gated(
  way: Way,
  options: ParallelOptions,
): Promise<{ readonly server: ParallelServer; readonly open: () => Promise<void> }> {
  const gate: Gate = new Int32Array(new SharedArrayBuffer(12));
  gate[1] = 1;
  const server = await startOn(way, worker('gated'), { parallelism: 1, workerData: gate, ...options });
  const resized = server.resize(2);
  await eventually(() => Atomics.load(gate, 0) === 2);
  const open = async (): Promise<void> => {
    Atomics.store(gate, 2, 1);
    await resized;
  };
  return { server, open };
}

/** Clients of all workers, who say nothing. */
async function everywhere(server: ParallelServer, count: number): Promise<Connection[]> {
  const clients: Connection[] = [];
  while (!server.status().workers.every(({ connections }) => connections >= count)) {
    clients.push(await dial(server));
    await eventually(() => server.status().active === clients.length);
  }
  return clients;
}

// The descriptor by which files are watched stays with the thread once there is one.
watch('.').close();

/** One way in which the parent accepts, and one in which workers bind by themselves: the two that differ most. */
const unlike = ({ kernel, options }: Way): boolean => kernel !== (options.transport === 'native');

describe('what is changed while it runs', () => {
  leavesNoThread();

  onEachWay(
    'holds in a worker that was starting meanwhile:',
    (way) => {
      test('deadlines', async () => {
        const { server, open } = await gated(way, {});
        server.set({ deadlines: { firstByte: 150 } });
        await open();
        const clients = await everywhere(server, 1);
        await Promise.all(clients.map((client) => endOf(client)));
        await eventually(() => server.status().reasons['timeout-firstByte'] === clients.length);
      });
    },
    unlike,
  );

  test('holds in workers that start later, and nothing of earlier changes is lost by later ones', async () => {
    const server = await startOn(anyWay, commands, {
      parallelism: 1,
      deadlines: { firstByte: 60_000, life: 60_000 },
    });
    server.set({ deadlines: { firstByte: 150 } });
    server.set({ deadlines: { idle: 50_000 } });
    await (
      await server.reload()
    ).done;
    assert.equal(await endOf(await dial(server)), 'end');
    assert.deepEqual((await settled(server, 0)).reasons, { 'timeout-firstByte': 1 });
  });

  test('holds for the connections of workers that leave', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1, grace: 60_000 });
    const client = await dial(server);
    // It is busy again at once, and this time for ever.
    await client.write('draining\ndraining\n');
    assert.equal(await line(client), 'waiting');
    const { done } = await server.reload();
    assert.deepEqual([await line(client), await line(client)], ['draining', 'waiting']);
    server.set({ deadlines: { life: 1 } });
    await endOf(client);
    await done;
    assert.deepEqual(server.status().reasons, { 'timeout-life': 1 });
  });

  test('nothing is no change, as for a server', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1 });
    const { limits } = server;
    server.set(undefined as never);
    assert.deepEqual(server.limits, limits);
  });
});

describe('certificates that are exchanged while it runs', () => {
  leavesNoThread();

  onEachWay(
    'are shown',
    (way) => {
      test('by a worker that was starting meanwhile', async () => {
        const { server, open } = await gated(way, { tls: serverTls() });
        await server.reloadTls(other);
        await open();
        assert.deepEqual(await shownByAll(server), new Set(['other']));
      });

      test('at all endpoints that have those of the option, and by workers that start later; not where there are others', async () => {
        const place = { port: 0, host: '127.0.0.1' };
        const listen = [place, place, { ...place, tls: serverTls() }];
        const server = await startOn(way, commands, { tls: serverTls(), listen });
        const look = async (): Promise<unknown> => [
          await shownByAll(server, 0),
          await shownByAll(server, 1),
          await shownByAll(server, 2),
        ];
        await server.reloadTls(other);
        const now = [new Set(['other']), new Set(['other']), new Set(['mine'])];
        assert.deepEqual(await look(), now);
        await (
          await server.reload()
        ).done;
        assert.deepEqual(await look(), now);
      });

      test('at the one endpoint that has any, by workers that start later too', async () => {
        const place = { port: 0, host: '127.0.0.1' };
        const server = await startOn(way, commands, { listen: [{ ...place, tls: serverTls() }, place] });
        await server.reloadTls(other);
        assert.deepEqual(await shownByAll(server), new Set(['other']));
        await (
          await server.reload()
        ).done;
        assert.deepEqual(await shownByAll(server), new Set(['other']));
      });
    },
    unlike,
  );

  test('take the place of all that was said of TLS, in workers that start later too', async () => {
    const server = await startOn(anyWay, commands, { parallelism: 1, tls: serverTls({ alpn: ['chat/1'] }) });
    assert.equal((await shown(server)).alpn, 'chat/1');
    await server.reloadTls(other);
    assert.deepEqual(await shown(server), { name: 'other', alpn: false });
    await (
      await server.reload()
    ).done;
    assert.deepEqual(await shown(server), { name: 'other', alpn: false });
  });

  test('are watched by the parent alone', { skip: process.platform !== 'linux' }, async (t) => {
    const server = await startOn(anyWay, commands, { parallelism: 3, tls: serverTls() });
    const { folder } = files(t);
    const cert = `${folder}/watched.crt`;
    const key = `${folder}/watched.key`;
    writeFileSync(cert, mine.cert);
    writeFileSync(key, mine.key);
    const watching = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).includes('inotify');
        } catch {
          return false;
        }
      }).length;
    const before = watching();
    const tls: TlsServerOptions = { cert, key, watch: true };
    await server.reloadTls(tls);
    assert.ok(watching() <= before + 1, `${watching()} of ${before}`);
    const client = await dial(server, { tls: { ca: certificates().ca, servername: 'localhost' } });
    assert.equal(await ask(client, 'hello'), 'hello');
    await server.reloadTls(serverTls());
  });
});

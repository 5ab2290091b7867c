import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { AdminClient, AdminRefused, AdminUnreached } from '../../src/cli/admin/client.ts';
import { connectionsReport } from '../../src/cli/admin/reports.ts';
import type { ConnectionJson } from '../../src/ops/admin-status.ts';
import { startPortside } from '../support/program.ts';
import { folderWith } from './command.ts';

const TOKEN = 'a-token-of-16-or-more';

/** A client of whatever answers so. */
async function askingAt(t: TestContext, answer: RequestListener): Promise<AdminClient> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return new AdminClient({ kind: 'tcp', host: '127.0.0.1', port }, TOKEN);
}

/** Never ends. */
const flood: RequestListener = (_, response) => {
  const bytes = Buffer.alloc(1_048_576, 'x');
  const more = (): void => {
    while (!response.destroyed && response.write(bytes));
  };
  response.on('drain', more);
  more();
};

describe('what asks an admin endpoint', () => {
  test('says that an answer broke off, and not that nobody is there', async (t) => {
    const client = await askingAt(t, (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{', () => response.destroy());
    });
    for (const asked of [client.get('/api/status'), client.post('/api/suspend')])
      await assert.rejects(asked, (error: NodeJS.ErrnoException) => {
        assert.ok(!(error instanceof AdminUnreached) && !(error instanceof AdminRefused));
        assert.equal(error.code, 'ECONNRESET');
        assert.match(error.message, /^127\.0\.0\.1:\d+ broke off in the middle of its answer$/u);
        return true;
      });
  });

  test('takes no more than there may be of an answer, or of an event', async (t) => {
    const client = await askingAt(t, flood);
    const large = { code: 'too-large', message: /is too large/u };
    await assert.rejects(client.get('/api/status'), large);
    await assert.rejects(client.events().next(), large);
  });

  test('waits for a while, and as long as it takes where the server has a limit of its own', async (t) => {
    const client = await askingAt(t, (_, response) => {
      setTimeout(() => response.end('{"workers":2}'), 300);
    });
    const late = { code: 'ETIMEDOUT', message: /did not answer in time/u };
    await assert.rejects(client.post('/api/reload', {}, undefined, 50), late);
    assert.deepEqual(await client.post('/api/reload', {}, undefined, Infinity), { workers: 2 });
  });

  test('shows what answers its token, follows nobody elsewhere, and has nothing steer the terminal', async (t) => {
    const heard: (string | undefined)[] = [];
    const client = await askingAt(t, (request, response) => {
      heard.push(request.headers.authorization);
      if (request.url === '/moved') response.writeHead(302, { location: 'http://192.0.2.1/' }).end();
      else response.writeHead(409).end('{"error":{"code":"state","message":"not \\u001b[2Jnow"}}');
    });
    await assert.rejects(client.get('/moved'), { code: 'no-admin', status: 302 });
    await assert.rejects(client.get('/x'), { code: 'state', status: 409, message: String.raw`not \x1b[2Jnow` });
    assert.deepEqual(heard, [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]);
  });
});

test('a peer that is called by what steers a terminal is shown as what it is', () => {
  const one: ConnectionJson = {
    id: 1,
    worker: null,
    peer: 'unix:///\u001b[2J\u202ex',
    local: '127.0.0.1:7000',
    doing: 'idle',
    age: 1,
    bytesRead: 1,
    bytesWritten: 1,
    queued: 0,
    tls: null,
  } as unknown as ConnectionJson;
  const [, line = ''] = connectionsReport([one], false).split('\n');
  assert.match(line, /^1 +unix:\/\/\/\\x1b\[2J\\u\{202e\}x +idle /u);
});

test('environment variables that are empty say nothing', async (t) => {
  const path = folderWith(t)('nobody.sock');
  const file = startPortside(t, ['status', '--admin', path], { PORTSIDE_ADMIN_TOKEN_FILE: '' });
  const place = startPortside(t, ['status'], { PORTSIDE_ADMIN: '' });
  assert.equal((await file.exit).code, 3);
  assert.match(file.err, /^portside: unix:\/\/\S+nobody\.sock does not exist; /u);
  // Whoever may be where one is by default.
  assert.notEqual((await place.exit).code, 2, place.err);
});

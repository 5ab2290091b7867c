import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prettyLines } from '../../src/cli/log/pretty.ts';

const at = { time: '2026-11-21T14:02:03.117Z', pid: 1 };

test('lines for people say whose they are, and access lines in a sentence', async () => {
  const pretty = await prettyLines(false);
  const tls = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', servername: 'a.example', alpn: null };
  const access = { level: 'info', ...at, worker: 2, conn: 7, peer: '203.0.113.9:4711', bytesRead: 1, bytesWritten: 2 };
  for (const [line, told] of [
    [
      {
        ...access,
        duration: 61_000,
        reason: 'timeout-idle',
        detail: 'idle deadline of 60000 ms',
        via: '10.0.0.2:1',
        tls,
        msg: 'connection closed',
      },
      'INFO: #2/7 203.0.113.9:4711 closed after 61.0 s: idle deadline of 60000 ms; 1 bytes in, 2 out; TLSv1.3 a.example; by 10.0.0.2:1',
    ],
    [
      {
        ...access,
        duration: 180_000,
        reason: 'handed-over',
        to: 1,
        tls: { ...tls, servername: null },
        msg: 'connection handed over',
      },
      'INFO: #2/7 203.0.113.9:4711 handed over to worker 1 after 3.0 min; 1 bytes in, 2 out; TLSv1.3',
    ],
    [
      { ...access, duration: 7_560_000, reason: 'detached', msg: 'connection given away' },
      'INFO: #2/7 203.0.113.9:4711 given away after 2.1 h; 1 bytes in, 2 out',
    ],
    // What a handler says in the same words is told with its fields.
    [{ level: 'warn', ...at, worker: 2, x: 1, msg: 'connection closed' }, 'WARN: worker 2 connection closed {"x":1}'],
    [{ level: 'info', ...at, msg: 'hello' }, 'INFO: hello'],
  ] as const) {
    const text = pretty(JSON.stringify(line));
    assert.match(text, /^\[\d\d:\d\d:03\.117\] /u);
    assert.equal(text.slice(text.indexOf(']') + 2), `${told}\n`);
  }
});

test('an error is told with its stack, and colors only where they are wanted', async () => {
  const err = { type: 'Error', message: 'bad', stack: 'Error: bad\n    at here (file.ts:1:2)\u001b' };
  const line = JSON.stringify({ level: 'error', ...at, conn: 1, err, msg: 'handler failed' });
  const plain = (await prettyLines(false))(line);
  assert.match(plain, /ERROR: #1 handler failed[^]*\n +at here \(file\.ts:1:2\)\\u001b\n/u);
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(plain, /\u001b/u);
  assert.match((await prettyLines(true))(line), new RegExp(String.fromCodePoint(27), 'u'));
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answering, echo, served, startAtTerminal } from './connecting.ts';

const CTRL_C = '\x03';
const CTRL_D = '\x04';

describe('portside connect at a terminal', () => {
  test('tells what it is connected to, and Ctrl-C ends it in order, with 0', async (t) => {
    const { endpoint } = await served(t, echo);
    const client = startAtTerminal(t, endpoint);
    await client.until(new RegExp(`portside: connected to ${endpoint} from `, 'u'));
    client.write('hello\n');
    // What was typed, and what came back.
    await client.until(/hello\r\nhello\r\n/u);
    client.write(CTRL_C);
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.match(client.out, /portside: closed by a signal; 6 bytes sent, 6 received/u);
  });

  test('Ctrl-D ends the input, and the server has the last word', async (t) => {
    const { endpoint } = await served(t, async (conn) => {
      for await (const bytes of conn) void bytes;
      await conn.write('goodbye\n');
    });
    const client = startAtTerminal(t, endpoint);
    await client.until(/connected to/u);
    client.write(CTRL_D);
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.match(client.out, /goodbye\r\nportside: ended by both sides; 0 bytes sent, 8 received/u);
  });

  test('when the server ends it is over, without a key', async (t) => {
    const { endpoint } = await served(t, answering('goodbye\n'));
    const client = startAtTerminal(t, endpoint);
    await client.until(/connected to/u);
    client.write('hello\n');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.match(client.out, /goodbye\r\nportside: ended/u);
  });

  test('--lines shows which way each went, and nothing that steers the terminal', async (t) => {
    const { endpoint } = await served(t, answering('a \x1b[2Jb\x07\tc\r\n', 'Grüße \u{1f600}\u202e\n'));
    const client = startAtTerminal(t, endpoint, '--lines', '--quiet');
    client.write('hello\n');
    await client.exit;
    assert.equal(
      client.out,
      `hello\r\n<- a ${String.raw`\x1b[2Jb\x07`}\tc\r\n<- Grüße \u{1f600}${String.raw`\u{202e}`}\r\n`,
    );
  });
});

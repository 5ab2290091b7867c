import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpChannel, tcpCredit, tcpEnd, tcpMode } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import { tcpSpy } from '../../src/dataspace/drivers/tcp-spy.ts';
import type { TcpSpyOptions } from '../../src/dataspace/drivers/tcp-spy.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';

const peer = tcpAddress('192.0.2.1', 40_000);
const local = tcpListener(5999);

/** What a spy writes of this, without the time. */
async function spied(boot: Boot, options?: TcpSpyOptions): Promise<string[]> {
  const lines: string[] = [];
  const space = new Dataspace();
  const sink = (line: string): void => {
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /u);
    lines.push(line.slice(25));
  };
  space.spawn(tcpSpy(sink, options));
  await space.run();
  space.spawn(boot);
  assert.deepEqual((await space.run()).failures, []);
  return lines;
}

describe('a spy on TCP', () => {
  test('dumps what goes each way, with both sides and where it goes', async () => {
    const lines = await spied((self) => {
      self.send(tcpChannel(peer, local, Buffer.from('hello\r\n')));
      self.send(tcpChannel(local, peer, 'grüße'));
      self.send(tcpChannel(local, peer, tcpEnd()));
      self.send(tcpChannel(peer, tcpListener(80, { host: '::1' }), tcpEnd()));
      self.send(tcpChannel(tcpHandle('up'), tcpAddress('2001:db8::1', 80), new Uint8Array()));
      self.send('nothing to do with it');
    });
    assert.deepEqual(lines, [
      'tcp 192.0.2.1:40000 → *:5999 7 bytes',
      'tcp 192.0.2.1:40000 → *:5999 00000000  68 65 6c 6c 6f 0d 0a                              |hello..|',
      'tcp *:5999 → 192.0.2.1:40000 7 bytes of text',
      'tcp *:5999 → 192.0.2.1:40000 00000000  67 72 c3 bc c3 9f 65                              |gr....e|',
      'tcp *:5999 → 192.0.2.1:40000 end',
      'tcp 192.0.2.1:40000 → [::1]:80 end',
      'tcp handle up → [2001:db8::1]:80 0 bytes',
    ]);
  });

  test('says credit and modes in words, against the arrow of their channel', async () => {
    const lines = await spied((self) => {
      self.feedback(tcpChannel(peer, local, tcpCredit(10)));
      self.feedback(tcpChannel(peer, local, tcpMode('lines')));
      self.feedback(tcpChannel(local, peer, tcpCredit(5)));
      self.feedback(tcpChannel(local, peer, record('other', ['x'])('y') as never));
    });
    assert.deepEqual(lines, [
      'tcp 192.0.2.1:40000 ← *:5999 credit 10',
      'tcp 192.0.2.1:40000 ← *:5999 mode lines',
      'tcp *:5999 ← 192.0.2.1:40000 credit 5',
      'tcp *:5999 ← 192.0.2.1:40000 other("y")',
    ]);
  });

  test('says who comes and goes', async () => {
    const lines = await spied((self) => {
      self.subscribe(tcpChannel(_, local, _));
      self.observePublishers(tcpChannel(_, tcpListener(_), _), {});
      self.publish(tcpChannel(tcpHandle(['a', 1]), peer, _), { onMessage: () => self.quit('enough') });
      self.feedback(tcpChannel(tcpHandle(['a', 1]), peer, tcpCredit(1)));
    });
    assert.deepEqual(lines.toSorted(), [
      'tcp * → *:* + subscriber 4 of actor 2 (observer)',
      'tcp * → *:* - subscriber 4 of actor 2 (observer) quit by actor 2: "enough"',
      'tcp * → *:5999 + subscriber 3 of actor 2',
      'tcp * → *:5999 - subscriber 3 of actor 2 quit by actor 2: "enough"',
      'tcp handle ["a", 1] ← 192.0.2.1:40000 credit 1',
      'tcp handle ["a", 1] → 192.0.2.1:40000 + publisher 5 of actor 2',
      'tcp handle ["a", 1] → 192.0.2.1:40000 - publisher 5 of actor 2 quit by actor 2: "enough"',
    ]);
  });

  test('shows no more of a message than it may, and lets nobody else write in a line', async () => {
    const text = `${'x'.repeat(15)}😀${'y'.repeat(1_000_000)}`;
    const evil = tcpAddress('\n2025-01-01 all is well\u202E', 1);
    const lines = await spied(
      (self) => {
        self.send(tcpChannel(peer, local, new Uint8Array(100_000)));
        self.send(tcpChannel(local, evil, text));
        self.send(tcpChannel(tcpHandle('h\n'), peer, 'abc'));
        self.feedback(tcpChannel(peer, local, tcpMode('\n2025-01-01 all is well' as 'lines')));
      },
      { bytes: 16, label: 'me' },
    );
    assert.deepEqual(lines, [
      'me 192.0.2.1:40000 → *:5999 100000 bytes',
      `me 192.0.2.1:40000 → *:5999 00000000  ${'00 '.repeat(8)} ${'00 '.repeat(8)} |${'.'.repeat(16)}|`,
      'me 192.0.2.1:40000 → *:5999 … 99984 more',
      'me *:5999 → "\\n2025-01-01 all is well\\u{202e}":1 1000019 bytes of text',
      `me *:5999 → "\\n2025-01-01 all is well\\u{202e}":1 00000000  ${'78 '.repeat(8)} ${'78 '.repeat(7)}f0  |${'x'.repeat(15)}.|`,
      'me *:5999 → "\\n2025-01-01 all is well\\u{202e}":1 … 1000003 more',
      'me handle "h\\n" → 192.0.2.1:40000 3 bytes of text',
      'me handle "h\\n" → 192.0.2.1:40000 00000000  61 62 63                                          |abc|',
      'me 192.0.2.1:40000 ← *:5999 mode "\\n2025-01-01 all is well"',
    ]);
  });

  test('is wrong without a sink, or with options that there are not', () => {
    assert.throws(() => tcpSpy('x' as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => tcpSpy(() => {}, { bytes: -1 }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

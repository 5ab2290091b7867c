import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpChannel, tcpCredit, tcpEnd, tcpFailed, tcpMode } from '../../src/dataspace/drivers/tcp-channel.ts';
import { TcpCreditInput } from '../../src/dataspace/drivers/tcp-credit-input.ts';
import type { TcpInput } from '../../src/dataspace/drivers/tcp-input.ts';
import type { TcpDriverOptions } from '../../src/dataspace/drivers/tcp-driver.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import type { Connection } from '../../src/net/connection.ts';
import { after, Talker, TcpStage } from './tcp-stage.ts';

const here = tcpListener(5999, { host: '127.0.0.1', credit: true });

function failureOf(reason: EndReason | undefined): string | undefined {
  const detail = reason !== undefined && 'detail' in reason ? reason.detail : undefined;
  return tcpFailed.is(detail) ? detail.code : undefined;
}

async function pair(
  stage: TcpStage,
  options: TcpDriverOptions = {},
): Promise<{ client: Connection; talker: Talker; write: (text: string) => Promise<void> }> {
  await stage.open(options);
  const { talkers } = await stage.serve(here);
  const client = await stage.dial(5999);
  const talker = talkers[0];
  assert.ok(talker !== undefined);
  const write = async (text: string): Promise<void> => {
    void client.write(text);
    await stage.settle();
  };
  return { client, talker, write };
}

function heard(talker: Talker): [string, number[]] {
  const { heard: text } = talker;
  talker.heard = '';
  return [text, talker.sizes.splice(0)];
}

describe('a connection with credit', () => {
  test('is not read before credit, and then gives one message of exactly as many bytes', async () => {
    const stage = new TcpStage({ bufferSize: 10 });
    const { talker, write } = await pair(stage);
    await write('0123456789abcdefghijklmnopqrstuvwxyz');
    assert.deepEqual(heard(talker), ['', []]);
    await talker.feedback(tcpCredit(4));
    assert.deepEqual(heard(talker), ['0123', [4]]);
    await stage.settle();
    assert.deepEqual(heard(talker), ['', []]);
    // As many as come together, however many chunks that takes.
    await talker.feedback(tcpCredit(25));
    assert.deepEqual(heard(talker), ['456789abcdefghijklmnopqrs', [25]]);
    await talker.feedback(tcpCredit(20));
    assert.deepEqual(heard(talker), ['', []]);
    await write('ABCDEFGHIJKLM');
    assert.deepEqual(heard(talker), ['tuvwxyzABCDEFGHIJKLM', [20]]);
    await stage.end();
  });

  test('has credit that came before summed up', async () => {
    const stage = new TcpStage();
    const { talker, write } = await pair(stage);
    await talker.feedback(tcpCredit(3));
    await talker.feedback(tcpCredit(0));
    await talker.feedback(tcpCredit(5));
    await write('1234567');
    assert.deepEqual(heard(talker), ['', []]);
    await write('89');
    assert.deepEqual(heard(talker), ['12345678', [8]]);
    await stage.end();
  });

  test('leaves a peer without credit waiting', async () => {
    const stage = new TcpStage({ bufferSize: 1_000 });
    const { talker, client } = await pair(stage);
    void client.write(new Uint8Array(10_000));
    await stage.settle();
    assert.ok(client.queuedBytes > 0);
    await talker.feedback(tcpCredit(9_000));
    assert.deepEqual(talker.sizes, [9_000]);
    await stage.end();
  });

  test('gives what there is at the end, and then the end', async () => {
    const stage = new TcpStage();
    const { talker, client, write } = await pair(stage);
    await talker.feedback(tcpCredit(100));
    await write('all there is');
    assert.deepEqual(heard(talker), ['', []]);
    await client.closeWrite();
    await stage.settle();
    assert.deepEqual(heard(talker), ['all there is<end>', [12]]);
    await stage.end();
  });

  test('holds back the end while there is something before it that there is no credit for', async () => {
    const stage = new TcpStage();
    const { talker, client, write } = await pair(stage);
    await write('0123456789');
    await client.closeWrite();
    await talker.feedback(tcpCredit(4));
    await talker.feedback(tcpCredit(4));
    assert.deepEqual(heard(talker), ['01234567', [4, 4]]);
    await talker.feedback(tcpCredit(2));
    await talker.feedback(tcpCredit(1));
    assert.deepEqual(heard(talker), ['89<end>', [2]]);
    await stage.end();
  });

  test('gives lines without their endings, one for each credit', async () => {
    const stage = new TcpStage();
    const { talker, client, write } = await pair(stage);
    await talker.feedback(tcpMode('lines'));
    await write('one\r\ntwo\n\nfo');
    assert.deepEqual(heard(talker), ['', []]);
    await talker.feedback(tcpCredit(1));
    assert.deepEqual(heard(talker), ['one', [3]]);
    await talker.feedback(tcpCredit(2));
    assert.deepEqual(heard(talker), ['two', [3, 0]]);
    await talker.feedback(tcpCredit(3));
    await write('ur\r');
    await write('\nfive\rstill\nsix');
    assert.deepEqual(heard(talker), ['fourfive\rstill', [4, 10]]);
    await client.closeWrite();
    await stage.settle();
    assert.deepEqual(heard(talker), ['six<end>', [3]]);
    await stage.end();
  });

  test('has no credit left after a change of mode, and loses no bytes to it', async () => {
    const stage = new TcpStage();
    const { talker, write } = await pair(stage);
    await talker.feedback(tcpCredit(10));
    await write('ab\ncd\n');
    await talker.feedback(tcpMode('lines'));
    assert.deepEqual(heard(talker), ['', []]);
    await talker.feedback(tcpCredit(1));
    assert.deepEqual(heard(talker), ['ab', [2]]);
    await talker.feedback(tcpCredit(5));
    assert.deepEqual(heard(talker), ['cd', [2]]);
    await talker.feedback(tcpMode('bytes'));
    await write('efg');
    assert.deepEqual(heard(talker), ['', []]);
    await talker.feedback(tcpCredit(2));
    assert.deepEqual(heard(talker), ['ef', [2]]);
    await stage.end();
  });

  test('looks for the end of a line anew after a change of mode', async () => {
    const stage = new TcpStage();
    const { talker, write } = await pair(stage);
    await talker.feedback(tcpMode('lines'));
    await talker.feedback(tcpCredit(1));
    await write('abcdef');
    await talker.feedback(tcpMode('bytes'));
    await talker.feedback(tcpCredit(8));
    await write('\nxy\nzw');
    await talker.feedback(tcpMode('lines'));
    await talker.feedback(tcpCredit(1));
    assert.deepEqual(heard(talker), ['abcdef\nxy', [8, 1]]);
    await stage.end();
  });

  test('holds back the end for what a change of mode left without credit', async () => {
    for (let moment = 0; moment < 12; moment++) {
      const stage = new TcpStage({}, { slice: 1 });
      const { talker, client, write } = await pair(stage);
      await talker.feedback(tcpMode('lines'));
      await talker.feedback(tcpCredit(1));
      await write('ab');
      talker.hand.tell((self) => self.feedback(tcpChannel(talker.remote, here, tcpMode('bytes'))));
      after(stage.clock, moment, () => void client.closeWrite());
      await stage.settle();
      if (talker.heard === '') await talker.feedback(tcpCredit(2));
      // What is not read is not seen to end.
      if (talker.heard === 'ab') await talker.feedback(tcpCredit(1));
      assert.deepEqual(heard(talker), ['ab<end>', [2]], `moment ${moment}`);
      await stage.end();
    }
  });

  test('wants no more than there is credit for, and looks at what came before it wants more lines', () => {
    const sent: string[] = [];
    const out: TcpInput = {
      wants: true,
      empty: true,
      push: (bytes) => sent.push(Buffer.from(bytes).toString()),
      end: () => {},
      deliver: () => true,
      control: () => null,
    };
    const input = new TcpCreditInput(out, { credit: 100, line: 100 }, () => {});
    assert.equal(input.wants, false);
    input.control(tcpCredit(4));
    assert.equal(input.wants, true);
    input.push(Buffer.from('abc'));
    assert.equal(input.wants, true);
    input.push(Buffer.from('de'));
    assert.equal(input.wants, false);
    input.deliver();
    input.control(tcpMode('lines'));
    input.control(tcpCredit(3));
    assert.equal(input.wants, true);
    input.push(Buffer.from('f\n'));
    assert.equal(input.wants, false);
    input.deliver();
    assert.equal(input.wants, true);
    assert.deepEqual(sent, ['abcd', 'ef']);
  });

  test('fails for a line that is too long, and takes the longest that is not', async () => {
    const stage = new TcpStage();
    const { talker, write } = await pair(stage, { inputLimit: 8 });
    await talker.feedback(tcpMode('lines'));
    await talker.feedback(tcpCredit(100));
    await write('12345678\r\n');
    await write('12345678\r');
    await write('\n12345678\n');
    assert.deepEqual(heard(talker), ['123456781234567812345678', [8, 8, 8]]);
    await write('1234567890');
    assert.deepEqual(heard(talker), ['', []]);
    assert.deepEqual(talker.reasons.map(failureOf), ['ERR_PORTSIDE_FRAME_TOO_LONG', 'ERR_PORTSIDE_FRAME_TOO_LONG']);
    await stage.end();
  });

  const wrong: readonly [string, unknown, string][] = [
    ['less than nothing', tcpCredit(-1), 'ERR_PORTSIDE_OPTIONS'],
    ['half a byte', tcpCredit(0.5), 'ERR_PORTSIDE_OPTIONS'],
    ['credit that is no number', tcpCredit('5' as never), 'ERR_PORTSIDE_OPTIONS'],
    ['a mode that there is not', tcpMode('words' as never), 'ERR_PORTSIDE_OPTIONS'],
    ['bytes', Uint8Array.of(1), 'ERR_PORTSIDE_STATE'],
    ['the end', tcpEnd(), 'ERR_PORTSIDE_STATE'],
    ['too much of it', tcpCredit(1_001), 'ERR_PORTSIDE_LIMIT'],
  ];
  for (const [what, body, code] of wrong)
    test(`is ended by who feeds back what means nothing: ${what}`, async () => {
      const stage = new TcpStage();
      const { talker } = await pair(stage, { creditLimit: 1_000 });
      await talker.feedback(tcpCredit(1_000));
      await talker.feedback(tcpMode('bytes'));
      await talker.feedback(body);
      assert.deepEqual(talker.reasons.map(failureOf), [code, code]);
      assert.equal((await stage.end()).failed, 0);
    });

  test('bounds what credit adds up to', async () => {
    const stage = new TcpStage();
    const { talker } = await pair(stage, { creditLimit: 1_000 });
    await talker.feedback(tcpCredit(600));
    await talker.feedback(tcpCredit(400));
    assert.deepEqual(talker.reasons, []);
    await talker.feedback(tcpCredit(1));
    assert.deepEqual(talker.reasons.map(failureOf), ['ERR_PORTSIDE_LIMIT', 'ERR_PORTSIDE_LIMIT']);
    await stage.end();
  });

  test('answers each body by its bytes, once they are with the kernel', async () => {
    const stage = new TcpStage({ bufferSize: 1_000 });
    const { talker, client } = await pair(stage);
    await talker.send('grün');
    await talker.send(new Uint8Array(7));
    await talker.send('');
    assert.deepEqual(talker.acks, [5, 7, 0]);
    await talker.send('x'.repeat(3_000));
    await talker.send('y'.repeat(2_000));
    assert.deepEqual(talker.acks, [5, 7, 0]);
    assert.equal((await stage.read(client)).length, 5_011);
    assert.deepEqual(talker.acks, [5, 7, 0, 3_000, 2_000]);
    await stage.end();
  });

  test('lets a sender go at its peer’s pace', async () => {
    const stage = new TcpStage({ bufferSize: 1_000 });
    await stage.open();
    let queued = 0;
    const { talkers } = await stage.serve(here, (one, self) => {
      one.join(self);
      let left = 100;
      self.publish(tcpChannel(here, one.remote, tcpCredit(500)), {
        onMessage: () => {
          if (left > 0) self.send(tcpChannel(here, one.remote, new Uint8Array(500)));
          left -= 1;
        },
      });
      self.send(tcpChannel(here, one.remote, new Uint8Array(500)));
    });
    const client = await stage.dial(5999);
    queued = talkers[0]?.acks.length ?? 0;
    assert.ok(queued < 5, `${queued} were sent to a peer that took none`);
    assert.equal((await stage.read(client)).length, 50_500);
    await stage.end();
  });

  test('on a handle goes as on a listener', async () => {
    const stage = await new TcpStage().open();
    const server = await stage.listen(6000);
    const hand = await stage.hand();
    const talker = new Talker(hand, tcpHandle('c', { credit: true }), tcpAddress('127.0.0.1', 6000));
    await hand.do((self) => talker.join(self));
    const accepted = await stage.now(() => server.accept());
    void accepted.write('line one\nline two\n');
    await talker.feedback(tcpMode('lines'));
    await talker.feedback(tcpCredit(1));
    assert.deepEqual(heard(talker), ['line one', [8]]);
    await talker.send('hello');
    assert.deepEqual(talker.acks, [5]);
    accepted.abort();
    await server.close();
    await stage.end();
  });
});

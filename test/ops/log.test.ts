import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { LogOutput } from '../../src/ops/log-output.ts';
import { openLog } from '../../src/ops/log.ts';
import { silentLogger } from '../../src/server/logger.ts';

/** A stream of which nobody reads until it is let go. */
function stalled(): { stream: Writable; text: () => string; go: () => void } {
  let text = '';
  let waiting: (() => void) | null = null;
  let going = false;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const take = (): void => {
        text += chunk.toString();
        done();
      };
      if (going) take();
      else waiting = take;
    },
  });
  const go = (): void => {
    going = true;
    waiting?.();
  };
  return { stream, text: () => text, go };
}

describe('openLog', () => {
  test('writes one JSON object a line, which holds whatever is said in it', async () => {
    const stream = new PassThrough();
    const logger = await openLog({ stream });
    const told: string[] = [];
    const awkward = fc.string({
      unit: fc.constantFrom('a', '"', '\\', '\n', '\r', '\u0000', '\u001b', '\u009b', '\u2028', '\u202e', '😀'),
    });
    fc.assert(
      fc.property(awkward, awkward, awkward, (name, value, message) => {
        logger.child({ peer: 'p' }).info({ [name]: value }, message);
        const line = String(stream.read());
        told.push(line);
        assert.ok(line.endsWith('}\n') && !/[\p{Cc}\u2028\u202E]/u.test(line.slice(0, -1)), JSON.stringify(line));
        const parsed = JSON.parse(line) as Record<string, unknown>;
        assert.deepEqual([parsed['level'], parsed['peer'], parsed['pid']], ['info', 'p', process.pid]);
        assert.ok(!Number.isNaN(Date.parse(String(parsed['time']))));
      }),
    );
    assert.equal(told.length, 100);
    logger.error({ err: new Error('a\nb') });
    const { err } = JSON.parse(String(stream.read())) as { err: Record<string, string> };
    assert.deepEqual([err['type'], err['message']], ['Error', String.raw`a\u000ab`]);
    logger.debug('below the level');
    assert.equal(stream.read(), null);
  });

  for (const limit of [10_000, 200_000])
    test(`a reader that stalls costs lines, which are counted; nothing waits for it, and ${limit} bytes are kept`, async () => {
      const { stream, text, go } = stalled();
      const logger = await openLog({ stream, limit });
      for (let i = 0; i < 5_000; i += 1) logger.info({ i }, 'a line');
      assert.ok(stream.writableLength <= limit, String(stream.writableLength));
      go();
      while (stream.writableLength > 0) await new Promise(setImmediate);
      logger.info('again');
      const lines = text()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const kept = lines.filter(({ msg }) => msg === 'a line');
      assert.deepEqual(
        kept.map(({ i }) => i),
        Array.from({ length: kept.length }, (_, i) => i),
      );
      const { level, lost, msg } = lines.at(-2)!;
      assert.deepEqual([level, lost, msg], ['warn', 5_000 - kept.length, 'log lines were lost']);
      assert.equal(lines.at(-1)?.['msg'], 'again');
    });

  test('a stream that fails disturbs nobody', async () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('gone')) });
    const output = new LogOutput(stream, () => {});
    output.write('a\n');
    await new Promise((resolve) => stream.once('close', resolve));
    for (let i = 0; i < 10; i += 1) output.write('b\n');
    await new Promise(setImmediate);
  });

  test('silent is silent, and what is wrong with the options is told', async () => {
    assert.equal(await openLog({ level: 'silent' }), silentLogger);
    await assert.rejects(openLog({ level: 'loud' as never, stream: {} as never, limit: 1 }), {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: /level must be .*; options\.stream must be a stream to write to, .*limit must be/u,
    });
  });
});

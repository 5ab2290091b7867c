import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inCheckout, startNode } from '../support/program.ts';

describe('the lines of a terminal as a source of events', () => {
  test('come as they are typed, and when the space ends the process does, though more could be typed', async (t) => {
    const program = startNode(t, [inCheckout('test/dataspace/terminal-program.ts')]);
    await program.until(/ready\n/u);
    program.write('hello\nwor');
    await program.until(/HELLO\n/u);
    program.write('ld\r\ngrüße');
    await program.until(/WORLD\n/u);
    program.write('\nquit\nmore');
    assert.deepEqual(await program.exit, { code: 0, signal: null });
    assert.equal(program.out, 'ready\nHELLO\nWORLD\nGRÜSSE\nover, 0 failed\n');
    assert.equal(program.err, '');
  });

  test('are over when its input is, the last one without an ending included', async (t) => {
    const program = startNode(t, [inCheckout('test/dataspace/terminal-program.ts')]);
    program.end('one\ntwo');
    assert.deepEqual(await program.exit, { code: 0, signal: null });
    assert.equal(program.out, 'ready\nONE\nTWO\nthe end, withdrawn\nover, 0 failed\n');
  });

  test('are not lost when there are more than are dealt with', async (t) => {
    const program = startNode(t, [inCheckout('test/dataspace/terminal-program.ts')]);
    const lines = Array.from({ length: 20_000 }, (_none, i) => `LINE ${i}\n`).join('');
    program.end(lines);
    await program.exit;
    assert.equal(program.out, `ready\n${lines}the end, withdrawn\nover, 0 failed\n`);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { columns, howLong, howMuch } from '../../src/cli/admin/tables.ts';
import { adminPlace, placeText } from '../../src/cli/admin/endpoint.ts';
import { parseWhere, whereParameters } from '../../src/cli/admin/where.ts';
import { readQuery } from '../../src/ops/connection-query.ts';

describe('conditions on connections', () => {
  test('are read from one text, or from several', () => {
    assert.deepEqual(parseWhere('peer=10.0.0.0/8, doing=idle,minAge=60s,worker=3,minQueued=64k,doing=busy'), {
      peer: ['10.0.0.0/8'],
      doing: ['idle', 'busy'],
      minAge: 60_000,
      worker: 3,
      minQueued: 65_536,
    });
    assert.deepEqual(parseWhere('peer=::1', parseWhere('peer=unix,minQueued=5')), {
      peer: ['unix', '::1'],
      minQueued: 5,
    });
    for (const wrong of ['', 'idle', 'peer=', 'minAge=soon', 'worker=-1', 'minQueued=1x', 'age=5', 'doing=idle,'])
      assert.throws(() => parseWhere(wrong), { code: 'commander.invalidArgument' }, wrong);
  });

  test('mean the same to the server', () => {
    const where = parseWhere('peer=10.0.0.0/8,peer=::1,doing=idle,doing=closing,minAge=1500ms,minQueued=1M,worker=0');
    assert.deepEqual(readQuery(whereParameters(where)), {
      peer: ['10.0.0.0/8', '::1'],
      doing: ['idle', 'closing'],
      minAge: 1_500,
      minQueued: 1_048_576,
      worker: 0,
    });
  });
});

describe('what is told for people', () => {
  test('are times and sizes to be seen at a glance', () => {
    assert.deepEqual(
      [0, 999, 1_000, 59_999, 60_000, 3_599_000, 7_800_000, 90_000_000].map((ms) => howLong(ms)),
      ['0ms', '999ms', '1s', '59s', '1m 0s', '59m 59s', '2h 10m', '1d 1h'],
    );
    assert.deepEqual(
      [0, 999, 1_000, 1_536, 10_240, 1_048_576, 5e9, 1e15].map((bytes) => howMuch(bytes)),
      ['0', '999', '1.0k', '1.5k', '10k', '1.0M', '4.7G', '909T'],
    );
  });

  test('is in columns, numbers to the right', () => {
    assert.equal(
      columns(
        [
          ['a', 'bb'],
          ['ccc', 'd'],
        ],
        [1],
      ),
      'a    bb\nccc   d\n',
    );
  });

  test('is asked for at a place: a host and a port, a path, a URL', () => {
    assert.deepEqual(adminPlace(':7001'), { kind: 'tcp', host: '127.0.0.1', port: 7_001 });
    assert.deepEqual(adminPlace('http://[::1]:7001/'), { kind: 'tcp', host: '::1', port: 7_001 });
    assert.deepEqual(adminPlace('/run/x.sock'), { kind: 'unix', path: '/run/x.sock' });
    assert.deepEqual(adminPlace('./x.sock'), { kind: 'unix', path: './x.sock' });
    assert.deepEqual(adminPlace('unix:///run/x.sock'), { kind: 'unix', path: '/run/x.sock' });
    for (const text of ['127.0.0.1:7001', '[::1]:7001', 'unix:///run/x.sock', 'unix://@name', 'host.example:80'])
      assert.equal(placeText(adminPlace(text.replace('unix://@', 'unix:@'))), text);
    for (const wrong of ['tls://x:1', 'fd://3', 'memory://x', '']) assert.throws(() => adminPlace(wrong), wrong);
  });
});

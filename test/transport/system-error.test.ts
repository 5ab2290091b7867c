import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PortsideError } from '../../src/base/errors.ts';
import { systemError } from '../../src/transport/system-error.ts';

describe('errors of the system', () => {
  test('keep their code and say what to do, from an error and from a bare code alike', () => {
    const cases: [string, string, { local?: string; remote?: string }, RegExp][] = [
      [
        'listen',
        'EADDRINUSE',
        { local: '127.0.0.1:5000' },
        /^127\.0\.0\.1:5000 is in use by another program; choose another port or stop it$/u,
      ],
      ['listen', 'EADDRINUSE', { local: 'unix:///run/x.sock' }, /remove the file$/u],
      ['listen', 'EACCES', { local: '0.0.0.0:80' }, /^port 80 needs permission: /u],
      ['listen', 'EACCES', { local: '[::]:443' }, /^port 443 needs permission: /u],
      ['listen', 'EACCES', { local: 'unix:///run/x.sock' }, /directory needs write permission/u],
      ['listen', 'EADDRNOTAVAIL', { local: '203.0.113.7:1' }, /^203\.0\.113\.7:1 is not an address of this machine; /u],
      ['listen', 'ENOTSOCK', { local: 'fd://3' }, /^fd:\/\/3 is not a socket/u],
      ['connect', 'ECONNREFUSED', { remote: '127.0.0.1:1' }, /^nobody listens on 127\.0\.0\.1:1; /u],
      ['connect', 'ENOENT', { remote: 'unix:///x' }, /^unix:\/\/\/x does not exist; /u],
      ['accept', 'EMFILE', { local: '0.0.0.0:80' }, /ulimit -n/u],
      ['read', 'ECONNRESET', { remote: '10.0.0.1:2' }, /^10\.0\.0\.1:2 reset the connection$/u],
      ['write', 'EIO', { remote: '10.0.0.1:2' }, /^write failed for 10\.0\.0\.1:2: .+ \(EIO\)$/u],
    ];
    for (const [op, code, place, sentence] of cases) {
      const cause = Object.assign(new Error('from the system'), { code });
      for (const given of [code, cause]) {
        const error = systemError(op, given, place);
        assert.equal(error.code, code);
        assert.equal(error.op, op);
        assert.equal(error.local, place.local);
        assert.equal(error.remote, place.remote);
        assert.equal(error.cause, given === cause ? cause : undefined);
        assert.match(error.message, sentence);
      }
    }
  });

  test('what is a PortsideError already stays as it is', () => {
    const error = new PortsideError('ERR_PORTSIDE_ABORTED', 'called off');
    assert.equal(systemError('connect', error), error);
  });

  test('a thing without a code is UNKNOWN and keeps its text', () => {
    const error = systemError('listen', new Error('strange'), { local: '127.0.0.1:1' });
    assert.equal(error.code, 'UNKNOWN');
    assert.equal(error.message, 'listen failed for 127.0.0.1:1: strange');
  });
});

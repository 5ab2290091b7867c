import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseServices, serviceNames, servicePort } from '../../src/net/services.ts';

describe('service names', () => {
  test('well-known names have their ports, on machines without /etc/services too', () => {
    const known: [string, 'tcp' | 'udp', number][] = [
      ['smtp', 'tcp', 25],
      ['https', 'tcp', 443],
      ['www', 'tcp', 80],
      ['domain', 'udp', 53],
      ['ntp', 'udp', 123],
      ['postgresql', 'tcp', 5432],
    ];
    for (const [name, protocol, port] of known) assert.equal(servicePort(name, protocol), port, name);
  });

  test('upper and lower case are the same', () => assert.equal(servicePort('SMTP', 'tcp'), 25));

  test('names that nobody knows have no port, nor have names of objects', () => {
    for (const name of ['no-such-service', '', 'constructor', '__proto__', 'smtp/tcp'])
      assert.equal(servicePort(name, 'tcp'), undefined);
  });

  test('the two protocols are apart', () => assert.equal(servicePort('tftp', 'tcp'), undefined));

  test('the names are those with a port', () => {
    const names = serviceNames('udp');
    assert.ok(names.includes('tftp'));
    for (const name of names) assert.equal(typeof servicePort(name, 'udp'), 'number');
  });

  const getent = spawnSync('getent', ['services', 'smtp']).status === 0;
  test('this machine’s own table says what getent says', { skip: !getent && 'no getent, or no table' }, () => {
    const lines = execFileSync('getent', ['services'], { encoding: 'utf8' }).trim().split('\n');
    // The first entry of a name counts, for getservbyname too.
    const seen = new Set<string>();
    for (const line of lines) {
      const match = /^(\S+)\s+(\d+)\/(tcp|udp)(.*)$/u.exec(line);
      if (match === null) continue;
      const [, name = '', port, protocol, aliases = ''] = match;
      for (const word of [name, ...aliases.trim().split(/\s+/u)]) {
        const key = `${word.toLowerCase()}/${String(protocol)}`;
        if (word === '' || seen.has(key)) continue;
        seen.add(key);
        assert.equal(servicePort(word, protocol === 'udp' ? 'udp' : 'tcp'), Number(port), line);
      }
    }
    assert.ok(seen.size > 10);
  });
});

describe('a table in the format of services(5)', () => {
  test('has names, aliases and comments', () => {
    const ports = parseServices(
      '# a comment\nsmtp\t25/tcp  mail post # mail\n\necho 7/udp\r\nbad\nworse x/tcp\nhuge 70000/tcp\nzero 0/tcp\nsmtp 26/tcp\n',
    );
    assert.deepEqual(
      [...ports].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      [
        ['echo/udp', 7],
        ['mail/tcp', 25],
        ['post/tcp', 25],
        ['smtp/tcp', 25],
      ],
    );
  });

  test('no text makes it fail, and every port is one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const port of parseServices(text).values()) assert.ok(port >= 1 && port <= 65_535);
      }),
    );
  });
});

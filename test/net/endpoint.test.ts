import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isPortsideError } from '../../src/base/errors.ts';
import { formatEndpoint, parseEndpoint } from '../../src/net/endpoint.ts';
import type { Endpoint, EndpointLike, EndpointRole } from '../../src/net/endpoint.ts';

const linux = process.platform === 'linux';

function refusal(input: unknown, role: EndpointRole = 'server', path?: string): { code: string; message: string } {
  try {
    const endpoint = parseEndpoint(input as EndpointLike, role, path);
    assert.fail(`${JSON.stringify(input)} was understood as ${JSON.stringify(endpoint)}`);
  } catch (error) {
    if (!isPortsideError(error)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** What the message recommends, without the words around it. */
function examplesOf(message: string): string[] {
  const tail = message.slice(message.indexOf('Write, for example, '));
  return [...tail.matchAll(/"((?:[^"\\]|\\.)*)"/gu)].map((match) => JSON.parse(`"${match[1] ?? ''}"`) as string);
}

describe('an endpoint that is right', () => {
  const right: [EndpointLike, Endpoint][] = [
    ['tcp://host:5000', { kind: 'tcp', host: 'host', port: 5000 }],
    ['TCP://host:5000', { kind: 'tcp', host: 'host', port: 5000 }],
    ['tcp://:5000', { kind: 'tcp', host: undefined, port: 5000 }],
    ['tcp://:smtp', { kind: 'tcp', host: undefined, port: 25 }],
    ['tcp://db_1.internal.:5000', { kind: 'tcp', host: 'db_1.internal.', port: 5000 }],
    ['tcp://bücher.example:80', { kind: 'tcp', host: 'bücher.example', port: 80 }],
    ['tls://0.0.0.0:https', { kind: 'tls', host: '0.0.0.0', port: 443 }],
    ['tls://[::]:443', { kind: 'tls', host: '::', port: 443 }],
    ['tcp://[fe80::1%eth0]:80', { kind: 'tcp', host: 'fe80::1%eth0', port: 80 }],
    ['tcp://[fe80::1%br_lan]:80', { kind: 'tcp', host: 'fe80::1%br_lan', port: 80 }],
    ['[fe80::1%eth0]:80', { kind: 'tcp', host: 'fe80::1%eth0', port: 80 }],
    ['[::ffff:1.2.3.4]:80', { kind: 'tcp', host: '::ffff:1.2.3.4', port: 80 }],
    ['5000', { kind: 'tcp', host: undefined, port: 5000 }],
    ['host:5000', { kind: 'tcp', host: 'host', port: 5000 }],
    ['localhost:SMTP', { kind: 'tcp', host: 'localhost', port: 25 }],
    ['[::1]:5000', { kind: 'tcp', host: '::1', port: 5000 }],
    [':5000', { kind: 'tcp', host: undefined, port: 5000 }],
    ['/run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
    ['/run/100% odd?#.sock', { kind: 'unix', path: '/run/100% odd?#.sock' }],
    ['unix:///run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
    ['unix:///run/my%20odd%3F.sock', { kind: 'unix', path: '/run/my odd?.sock' }],
    ['unix:/run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
    ['unix:relative.sock', { kind: 'unix', path: 'relative.sock' }],
    ['unix:./@file', { kind: 'unix', path: './@file' }],
    ['fd://3', { kind: 'fd', fd: 3 }],
    ['memory://chat', { kind: 'memory', name: 'chat' }],
    [5000, { kind: 'tcp', host: undefined, port: 5000 }],
    [{ port: 5000 }, { kind: 'tcp', host: undefined, port: 5000 }],
    [
      { port: '5000', host: '127.0.0.1' },
      { kind: 'tcp', host: '127.0.0.1', port: 5000 },
    ],
    [
      { port: 'smtp', host: '::1' },
      { kind: 'tcp', host: '::1', port: 25 },
    ],
    [
      { port: 1, host: '[::1]' },
      { kind: 'tcp', host: '::1', port: 1 },
    ],
    [
      { port: 1, host: undefined },
      { kind: 'tcp', host: undefined, port: 1 },
    ],
    [{ path: '/run/x' }, { kind: 'unix', path: '/run/x' }],
    [{ path: '100%41' }, { kind: 'unix', path: '100%41' }],
    [{ fd: 0 }, { kind: 'fd', fd: 0 }],
    [
      { kind: 'tls', host: 'a', port: 1 },
      { kind: 'tls', host: 'a', port: 1 },
    ],
    [
      { kind: 'memory', name: 'a b' },
      { kind: 'memory', name: 'a b' },
    ],
  ];
  for (const [input, expected] of right) {
    test(`${JSON.stringify(input)} is understood, by servers and clients`, () => {
      assert.deepEqual(parseEndpoint(input, 'server'), expected);
      assert.deepEqual(parseEndpoint(input, 'client'), expected);
    });
  }

  test('servers may leave the port to the system', () => {
    assert.deepEqual(parseEndpoint(0, 'server'), { kind: 'tcp', host: undefined, port: 0 });
    assert.deepEqual(parseEndpoint('127.0.0.1:0', 'server'), { kind: 'tcp', host: '127.0.0.1', port: 0 });
  });

  test('servers may be handed a socket by systemd', () => {
    assert.deepEqual(parseEndpoint('systemd://echo.socket', 'server'), { kind: 'systemd', name: 'echo.socket' });
  });

  test('an abstract name has a leading NUL, however it is given', { skip: !linux }, () => {
    for (const input of ['unix:@name', 'unix://@name', { path: '@name' }, { path: '\0name' }]) {
      assert.deepEqual(parseEndpoint(input, 'server'), { kind: 'unix', path: '\0name' });
    }
    assert.equal(formatEndpoint({ kind: 'unix', path: '\0name' }), 'unix:@name');
  });

  test('a path may be as long as sun_path allows, counted in bytes', { skip: !linux }, () => {
    assert.equal(formatEndpoint(parseEndpoint(`/${'a'.repeat(106)}`, 'server')).length, 'unix://'.length + 107);
    assert.match(refusal(`/${'a'.repeat(107)}`).message, /108 bytes long, and the system takes 107/u);
    assert.match(refusal({ path: `/${'é'.repeat(54)}` }).message, /109 bytes long/u);
  });
});

describe('an endpoint that is wrong', () => {
  // What is given, what the message has to say, and what it has to recommend.
  const wrong: [unknown, RegExp, (string | undefined)?, EndpointRole?][] = [
    ['', /it is empty/u],
    ['  ', /it is empty/u],
    [' tcp://a:1', /a space at its beginning or end/u, 'tcp://a:1'],
    ['a:1\n', /a space at its beginning or end/u, 'a:1'],
    ['tcp://', /host and port are missing/u],
    ['tcp://a', /port is missing/u, 'tcp://a:5000'],
    ['localhost', /port is missing\. /u, 'tcp://localhost:5000'],
    ['smtp', /port is missing; the service of that name is "tcp:\/\/:smtp"/u, 'tcp://smtp:5000'],
    ['tcp://a:', /port is missing/u, 'tcp://a:5000'],
    ['[::1]', /port is missing/u, 'tcp://[::1]:5000'],
    ['tcp://5000', /a port alone has a colon before it/u, 'tcp://:5000'],
    ['tcp:5000', /come two slashes/u, 'tcp://:5000'],
    ['tcp:a:5000', /come two slashes/u, 'tcp://a:5000'],
    ['tls:/a:5000', /come two slashes/u, 'tls://a:5000'],
    ['fd:3', /come two slashes/u, 'fd://3'],
    ['memory:chat', /come two slashes/u, 'memory://chat'],
    ['a:65536', /from 0 to 65535 or the name of a service, not "65536"/u, 'tcp://a:5000'],
    ['a:-1', /not "-1"/u],
    ['a:+5', /not "\+5"/u],
    ['a:80.5', /no TCP service/u],
    ['a:8 0', /a space or control character/u],
    ['a b:80', /a space or control character/u],
    ['a:99999999999999999999', /from 0 to 65535/u],
    ['a:0', /port 0 lets a server choose/u, 'tcp://a:5000', 'client'],
    [0, /port 0 lets a server choose/u, undefined, 'client'],
    [70_000, /70000 can't be used .* from 0 to 65535/u],
    [-1, /not -1/u],
    [1.5, /not 1\.5/u],
    [Number.NaN, /not NaN/u],
    ['tpc://a:80', /did you mean "tcp"/u, 'tcp://a:80'],
    ['ssl://a:80', /did you mean "tls"/u, 'tls://a:80'],
    ['https://example.com/', /did you mean "tls"/u],
    ['file:///run/x', /did you mean "unix"/u, 'unix:///run/x.sock'],
    ['mem://x', /did you mean "memory"/u, 'memory://chat'],
    ['gopher://a:70', /scheme "gopher" is not known; the schemes are tcp, tls, unix, fd, systemd, memory/u],
    ['udp://a:53', /bindUdp/u],
    ['://a:53', /scheme "" is not known/u],
    ['::1', /brackets, and the port is missing/u, 'tcp://[::1]:5000'],
    ['tcp://::1', /brackets, and the port is missing/u, 'tcp://[::1]:5000'],
    ['::1:8080', /stands in brackets when a port follows/u, 'tcp://[::1]:8080'],
    ['tls://fe80::1%eth0:8080', /stands in brackets when a port follows/u, 'tls://[fe80::1%eth0]:8080'],
    ['a:80:90', /more than one colon/u],
    ['[::1:80', /bracket is not closed/u],
    ['[]:80', /no address in the brackets/u],
    ['[127.0.0.1]:80', /brackets are for IPv6/u],
    ['[localhost]:80', /brackets are for IPv6/u],
    ['[::1]80', /after the bracket comes ":"/u, 'tcp://[::1]:5000'],
    ['[fe80::1%]:80', /zone after % is not/u],
    ['127.0.0.1%eth0:80', /introduces the zone of an IPv6/u],
    ['300.1.1.1:80', /not an IPv4 address/u],
    ['127.1:80', /not an IPv4 address/u],
    ['0x7f.1:80', /not an IPv4 address/u],
    ['*:80', /\* is not a host/u, 'tcp://:5000'],
    ['a..b:80', /parts of 1 to 63 bytes/u],
    [`${'a'.repeat(64)}:80`, /parts of 1 to 63 bytes/u],
    [`${'a.'.repeat(130)}:80`, /253 bytes in all/u],
    ['tcp://user:secret@a:80', /no user or password/u],
    ['a:80?x=1', /no query/u, 'tcp://a:80'],
    ['tcp://a:80#x', /no fragment/u, 'tcp://a:80'],
    ['tcp://a:80/', /no path after the port/u, 'tcp://a:80'],
    ['run/x.sock', /neither host and port nor a whole path/u, 'unix:run/x.sock'],
    ['./x.sock', /neither host and port nor a whole path/u, 'unix:./x.sock'],
    ['@name', /"unix:" before it/u],
    ['unix:', /the path is empty/u],
    ['unix://', /the path is empty/u],
    ['unix:@', /abstract name is empty/u],
    ['unix://run/x.sock', /begins with a slash/u, 'unix:///run/x.sock'],
    ['unix:///run/x.sock?mode=600', /no query or fragment; "\?" as part of a name is %3F/u],
    ['unix:///run/%zz', /two hexadecimal digits/u],
    ['unix:///run/%ff', /two hexadecimal digits/u],
    ['unix:a%00b', /NUL character inside/u],
    ['unix:\0a', /control character/u],
    ['unix:%00a', /written with @/u],
    ['/run/a\0b', /NUL character inside/u],
    ['/run/', /names a directory/u],
    ['/', /names a directory/u],
    ['/\ud800', /not well-formed/u],
    ['fd://', /a descriptor is a whole number from 0, not ""/u, 'fd://3'],
    ['fd://x', /a descriptor is/u],
    ['fd://-1', /a descriptor is/u],
    ['fd://9999999999', /a descriptor is/u],
    ['systemd://', /the name is empty/u],
    ['systemd://a:b', /without a colon/u],
    ['systemd://a', /systemd hands over listening sockets/u, undefined, 'client'],
    ['memory://', /the name is empty/u],
    ['memory://a?b', /no query/u],
    [`memory://${'a'.repeat(256)}`, /longer than 255/u],
    [{}, /none of port, path, fd/u],
    [{ host: 'a' }, /\{ host: "a" \} can't be used .* the port is missing/u, 'tcp://a:5000'],
    [{ port: 1, path: '/x' }, /more than one of/u],
    [{ port: 1, hots: 'a' }, /"hots" does not belong/u],
    [{ port: 1, host: '' }, /host is empty/u],
    [{ port: 1, host: null }, /host is not a string, but null/u],
    [{ port: 1, host: 7 }, /host is not a string, but 7/u],
    [{ port: 1, host: 'a:80' }, /neither a host name nor an IPv6/u],
    [{ port: true }, /not true/u],
    [{ port: null }, /not null/u],
    [{ port: '' }, /port is missing/u],
    [{ path: '' }, /path is empty/u],
    [{ path: 5 }, /path is not a string, but 5/u],
    [{ fd: '3' }, /whole number from 0, not "3"/u, 'fd://3'],
    [{ fd: -1 }, /not -1/u],
    [{ kind: 'tpc', port: 1 }, /did you mean "tcp"/u],
    [{ kind: 'constructor', port: 1 }, /its kind is "constructor"/u],
    [{ kind: 'memory' }, /name is missing/u],
    [{ kind: 7 }, /its kind is 7/u],
    [undefined, /it is not an endpoint/u],
    [null, /it is not an endpoint/u],
    [true, /it is not an endpoint/u],
    [[], /none of port/u],
    [() => 1, /it is not an endpoint/u],
  ];
  for (const [input, says, recommends, role] of wrong) {
    test(`${JSON.stringify(input) ?? String(input)} is refused with what is wrong and what would be right`, () => {
      const { code, message } = refusal(input, role);
      assert.match(message, says);
      assert.equal(code, /no TCP service/u.test(message) ? 'ERR_PORTSIDE_SERVICE' : 'ERR_PORTSIDE_ENDPOINT');
      if (recommends !== undefined) assert.ok(examplesOf(message).includes(recommends), message);
      for (const example of examplesOf(message)) parseEndpoint(example, 'server');
    });
  }

  test('an unknown service has a code of its own and the nearest name', () => {
    const { code, message } = refusal('mail:smpt');
    assert.equal(code, 'ERR_PORTSIDE_SERVICE');
    assert.match(message, /no TCP service called "smpt" is known on this machine; did you mean "smtp"\?/u);
  });

  test('where it was given begins the message', () => {
    assert.match(
      refusal('tcp://:x y', 'server', 'options.listen[0]').message,
      /^options\.listen\[0\]: "tcp:\/\/:x y" can't be used/u,
    );
  });

  test('passwords are not shown', () => {
    for (const input of ['tcp://user:secret@a:80', 'user:secret@a:80', 'tpc://user:secret@a', 'tcp://u:se@cret@a:80']) {
      assert.doesNotMatch(refusal(input).message, /secret|cret@/u);
    }
  });

  test('a long input is cut short', () => {
    assert.ok(refusal(`tcp://${'x '.repeat(10_000)}`).message.length < 300);
  });
});

describe('endpoints in general', () => {
  const label = fc.stringMatching(/^[a-z][a-z\d-]{0,10}$/u);
  const host = fc.oneof(
    label,
    fc.tuple(label, label).map((parts) => parts.join('.')),
    fc.ipV4(),
    fc.ipV6(),
  );
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((text) => !text.includes('\0') && Buffer.byteLength(text) < 100);
  const made = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
    fc.record(model, { noNullPrototype: true });
  const endpoint: fc.Arbitrary<Endpoint> = fc.oneof(
    made({
      kind: fc.constantFrom('tcp', 'tls'),
      host: fc.option(host, { nil: undefined }),
      port: fc.integer({ min: 0, max: 65_535 }),
    }),
    made({ kind: fc.constant('unix'), path: name.filter((path) => !path.startsWith('@') && !path.endsWith('/')) }),
    made({ kind: fc.constant('unix'), path: name.map((path) => (linux ? `\0${path}` : `./${path}x`)) }),
    made({ kind: fc.constant('fd'), fd: fc.nat(2 ** 31 - 1) }),
    made({ kind: fc.constant('systemd'), name: fc.stringMatching(/^[ -9;-~]{1,40}$/u) }),
    made({ kind: fc.constant('memory'), name }),
  );

  test('what is formatted is understood as the same endpoint', () => {
    fc.assert(
      fc.property(endpoint, (original) => {
        assert.deepEqual(parseEndpoint(original, 'server'), original);
        assert.deepEqual(parseEndpoint(formatEndpoint(original), 'server'), original);
      }),
      { numRuns: 2_000 },
    );
  });

  test('whatever is understood survives being formatted, and no string raises anything but the two codes', () => {
    const part = fc.constantFrom(
      'tcp',
      'tls',
      'unix',
      'fd',
      'systemd',
      'memory',
      ':',
      '/',
      '//',
      '://',
      '[',
      ']',
      '::1',
      '@',
      '%',
      '%41',
      '%00',
      '?',
      '#',
      ' ',
      '\0',
      '.',
      '..',
      '5000',
      '0',
      '65536',
      '-1',
      'smtp',
      'a',
      'localhost',
      '127.0.0.1',
      'eth0',
      '\ud800',
      'é',
      '\n',
      '\\',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(part, { maxLength: 8 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, fc.constantFrom('server', 'client'), (input, role) => {
        let understood: Endpoint;
        try {
          understood = parseEndpoint(input, role);
        } catch (error) {
          assert.ok(isPortsideError(error), String(error));
          assert.ok(['ERR_PORTSIDE_ENDPOINT', 'ERR_PORTSIDE_SERVICE'].includes(error.code));
          assert.doesNotMatch(error.message, /\p{Cc}/u);
          return;
        }
        assert.deepEqual(parseEndpoint(formatEndpoint(understood), role), understood);
      }),
      { numRuns: 10_000 },
    );
  });
});

test('an address, as a listener or a connection has it, is an endpoint', () => {
  assert.deepEqual(parseEndpoint({ family: 'ipv4', host: '127.0.0.1', port: 80 }, 'client'), {
    kind: 'tcp',
    host: '127.0.0.1',
    port: 80,
  });
  assert.deepEqual(parseEndpoint({ family: 'ipv6', host: '::1', port: 80 }, 'client'), {
    kind: 'tcp',
    host: '::1',
    port: 80,
  });
  assert.deepEqual(parseEndpoint({ family: 'unix', path: '/run/x.sock' }, 'client'), {
    kind: 'unix',
    path: '/run/x.sock',
  });
  assert.deepEqual(parseEndpoint({ family: 'memory', name: 'chat' }, 'server'), { kind: 'memory', name: 'chat' });
  assert.throws(() => parseEndpoint({ family: 'ipx', port: 80 } as never, 'client'), { code: 'ERR_PORTSIDE_ENDPOINT' });
});

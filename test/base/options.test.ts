import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { expectTypeOf } from 'expect-type';
import fc from 'fast-check';
import {
  boolean,
  byteCount,
  bytes,
  check,
  checkValue,
  fn,
  instance,
  integer,
  list,
  milliseconds,
  number,
  object,
  oneOf,
  OptionsError,
  record,
  removed,
  renamed,
  required,
  secret,
  string,
  table,
  that,
  union,
} from '../../src/base/options.ts';
import type { Agrees, Infer } from '../../src/base/options.ts';
import { isPortsideError } from '../../src/base/errors.ts';

interface ListenOptions {
  readonly port: number;
  readonly backlog?: number | undefined;
  readonly host?: string | undefined;
  readonly families?: readonly ('ipv4' | 'ipv6')[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly guard?: ((host: string) => boolean) | undefined;
  readonly timeout?: number | undefined;
  readonly tls?:
    | { readonly cert: string | Uint8Array; readonly key: string; readonly passphrase?: string | undefined }
    | undefined;
  readonly either?: boolean | { readonly max?: number | undefined } | undefined;
}

const listenTable = table('listen', {
  port: required(integer({ min: 0, max: 65535 })),
  backlog: integer({ min: 1, max: 65535 }),
  host: string(),
  families: list(oneOf('ipv4', 'ipv6')),
  signal: instance(AbortSignal, 'an AbortSignal'),
  guard: fn<(host: string) => boolean>(),
  timeout: milliseconds({ infinite: true }),
  tls: object({
    cert: required(union(string(), bytes())),
    key: required(secret(string())),
    passphrase: secret(string({ empty: true })),
  }),
  either: union(boolean(), object({ max: integer({ min: 1 }) })),
  queue: renamed('backlog'),
  fork: removed('use startParallel()'),
});

function problemsOf(value: unknown, at?: string): OptionsError {
  try {
    check(listenTable, value, { at });
  } catch (error) {
    assert.ok(error instanceof OptionsError);
    return error;
  }
  throw new assert.AssertionError({ message: 'nothing was found wrong' });
}

describe('a table of options', () => {
  test('gives right options back as they are, typed', () => {
    const given = { port: 1, backlog: undefined, host: 'x', timeout: Infinity, families: ['ipv4'], unknown: undefined };
    const options: ListenOptions = check(listenTable, given);
    assert.equal(options, given);
  });

  test('takes no options at all for empty ones', () => {
    assert.deepEqual(check(table('close', { grace: milliseconds() }), undefined), {});
    assert.throws(
      () => check(listenTable, undefined),
      /^OptionsError: listen: options\.port is required, and must be a whole number from 0 to 65535$/,
    );
  });

  test('tells every problem at once, with paths and near misses', () => {
    const error = problemsOf({ port: 'x', backlg: 5 });
    assert.equal(
      error.message,
      'listen: options.backlg is not an option; did you mean "backlog"?; options.port must be a whole number from 0 to 65535, got "x"',
    );
    assert.equal(error.code, 'ERR_PORTSIDE_OPTIONS');
    assert.equal(error.op, 'listen');
    assert.ok(isPortsideError(error));
    assert.deepEqual(error.problems, [
      { path: 'options.backlg', message: 'is not an option; did you mean "backlog"?' },
      { path: 'options.port', message: 'must be a whole number from 0 to 65535, got "x"' },
    ]);
  });

  test('names what is inside lists and objects by path', () => {
    const error = problemsOf({ port: 1, families: ['ipv4', 'ipx'], tls: { cert: 1, key: 2, 'odd key': 3 } });
    assert.deepEqual(error.problems, [
      { path: 'options.families[1]', message: 'must be "ipv4" or "ipv6", got "ipx"' },
      { path: 'options.tls["odd key"]', message: 'is not an option' },
      { path: 'options.tls.cert', message: 'must be a string that is not empty or bytes (a Uint8Array), got 1' },
      { path: 'options.tls.key', message: 'must be a string that is not empty, got a number (not shown)' },
    ]);
  });

  test('tells whoever uses an old name the new one, and never suggests an old one', () => {
    assert.deepEqual(problemsOf({ port: 1, queue: 5, fork: true, forks: 1 }).problems, [
      { path: 'options.forks', message: 'is not an option' },
      { path: 'options.queue', message: 'is now called "backlog"' },
      { path: 'options.fork', message: 'is no longer an option: use startParallel()' },
    ]);
  });

  test('refuses what is no object', () => {
    for (const value of [null, 5, 'x', [], () => 1]) {
      assert.match(problemsOf(value).message, /^listen: options must be an object of options, got /);
    }
  });

  test('calls the whole what the caller calls it', () => {
    assert.equal(problemsOf({ port: -1 }, 'servers[2]').problems[0]?.path, 'servers[2].port');
    assert.equal(problemsOf({ port: -1 }, '').problems[0]?.path, 'port');
  });

  test('looks at what holds between options once each is right', () => {
    let calls = 0;
    const both = table('connect', { a: integer(), b: integer() }, ({ a, b }, problem) => {
      calls++;
      if (b !== undefined && a === undefined) problem('b', 'needs a');
    });
    check(both, { a: 1, b: 2 });
    assert.equal(calls, 1);
    assert.throws(() => check(both, { b: 2 }), /^OptionsError: connect: options\.b needs a$/);
    calls = 0;
    assert.throws(() => check(both, { b: 'x' }), /whole number/);
    assert.equal(calls, 0);
  });

  test('explains a union by the alternative that the value looks like', () => {
    assert.equal(problemsOf({ port: 1, either: { max: 0 } }).problems[0]?.path, 'options.either.max');
    assert.equal(
      problemsOf({ port: 1, either: 'yes' }).problems[0]?.message,
      'must be true or false or an object of options, got "yes"',
    );
    const tagged = union(
      object({ kind: required(oneOf('a')), x: integer() }),
      object({ kind: required(oneOf('b')), y: integer() }),
    );
    assert.throws(
      () => checkValue('op', 'it', tagged, { kind: 'b', y: 'no' }),
      /^OptionsError: op: it\.y must be a whole number, got "no"$/,
    );
  });

  test('counts options that come from a prototype of defaults', () => {
    assert.equal(check(listenTable, Object.create({ port: 5 })).port, 5);
    assert.equal(problemsOf(Object.create({ port: 5, hosts: 'x' })).problems[0]?.path, 'options.hosts');
    class Given {
      get port(): unknown {
        return 'x';
      }
    }
    assert.equal(problemsOf(new Given()).problems[0]?.path, 'options.port');
  });
});

describe('a message', () => {
  test('never shows a secret, whatever its kind and wherever it stands', () => {
    const login = table('login', {
      password: secret(string()),
      keys: secret(list(string())),
      nested: secret(object({ token: integer(), either: union(integer(), object({ x: integer() })) })),
    });
    const hush = 'hunter2';
    for (const value of [
      { password: [hush] },
      { password: { [Symbol('x')]: hush } },
      { keys: [1, { hush }] },
      { keys: hush },
      { nested: { token: hush } },
      { nested: { either: { x: hush } } },
      { nested: { either: hush } },
      { nested: hush },
      { passwort: hush },
    ]) {
      assert.throws(
        () => check(login, value),
        (error: OptionsError) => !String(error).includes(hush) && !JSON.stringify(error.problems).includes(hush),
      );
    }
  });

  test('shortens long values and names, and lists a bounded number of problems', () => {
    const long = 'x'.repeat(100_000);
    assert.ok(problemsOf({ port: long, [long]: 1, [`${long} y`]: 1 }).message.length < 400);
    const many = problemsOf({ port: 1, families: Array.from({ length: 100_000 }, () => 'no') });
    assert.equal(many.problems.length, 32);
  });

  test('runs no code of the values that it shows', () => {
    const trap = {
      get constructor(): never {
        throw new Error('ran');
      },
      toString(): never {
        throw new Error('ran');
      },
      toJSON(): never {
        throw new Error('ran');
      },
    };
    const proxy = new Proxy(
      {},
      {
        getPrototypeOf(): never {
          throw new Error('ran');
        },
      },
    );
    assert.match(problemsOf({ port: trap }).message, /got an object$/);
    assert.match(problemsOf({ port: proxy }).message, /got an object$/);
    assert.match(problemsOf({ port: Object.create(null) }).message, /got an object$/);
    assert.match(problemsOf({ port: new Map() }).message, /got a Map$/);
    assert.match(problemsOf({ port: Symbol('x') }).message, /got a symbol$/);
    assert.match(problemsOf({ port: 10n }).message, /got 10n$/);
    assert.match(problemsOf({ port: NaN }).message, /got NaN$/);
  });

  test('is all that comes of any value: nothing else is thrown', () => {
    fc.assert(
      fc.property(
        fc.object({
          key: fc.oneof(
            fc.constantFrom('port', 'tls', 'families', 'cert', 'either', '__proto__', 'constructor'),
            fc.string(),
          ),
        }),
        (value) => {
          try {
            check(listenTable, value);
          } catch (error) {
            assert.ok(error instanceof OptionsError);
            assert.ok(error.problems.length > 0);
          }
        },
      ),
    );
  });
});

describe('a rule', () => {
  const rows: [string, () => unknown, string | undefined][] = [
    ['integer 1.5', () => checkValue('op', 'it', integer(), 1.5), 'must be a whole number, got 1.5'],
    [
      'integer 2**53',
      () => checkValue('op', 'it', integer({ min: 0 }), 2 ** 53),
      'must be a whole number, 0 or more, got 9007199254740992',
    ],
    ['integer max', () => checkValue('op', 'it', integer({ max: 3 }), 4), 'must be a whole number, 3 or less, got 4'],
    ['number', () => checkValue('op', 'it', number({ min: 0, max: 1 }), 0.5), undefined],
    ['number NaN', () => checkValue('op', 'it', number(), NaN), 'must be a number, got NaN'],
    ['number Infinity', () => checkValue('op', 'it', number(), Infinity), 'must be a number, got Infinity'],
    [
      'milliseconds',
      () => checkValue('op', 'it', milliseconds(), -1),
      'must be a number of milliseconds, 0 or more, got -1',
    ],
    [
      'milliseconds for ever',
      () => checkValue('op', 'it', milliseconds({ infinite: true, max: 5 }), Infinity),
      undefined,
    ],
    [
      'bytes',
      () => checkValue('op', 'it', byteCount({ max: 9 }), '9'),
      'must be a whole number of bytes from 0 to 9, got "9"',
    ],
    ['empty string', () => checkValue('op', 'it', string(), ''), 'must be a string that is not empty, got ""'],
    ['empty string allowed', () => checkValue('op', 'it', string({ empty: true }), ''), undefined],
    ['truthy', () => checkValue('op', 'it', boolean(), 1), 'must be true or false, got 1'],
    ['Buffer', () => checkValue('op', 'it', bytes(), Buffer.of(1)), undefined],
    [
      'DataView',
      () => checkValue('op', 'it', bytes(), new DataView(new ArrayBuffer(1))),
      'must be bytes (a Uint8Array), got a DataView',
    ],
    [
      'list bounds',
      () => checkValue('op', 'it', list(integer(), { min: 1, max: 2 }), []),
      'must be a list of 1 to 2, each a whole number, got a list of 0',
    ],
    ['record', () => checkValue('op', 'it', record(integer()), { a: 1, b: undefined }), undefined],
    ['record value', () => checkValue('op', 'it', record(integer()), new Date()), undefined],
    ['three', () => checkValue('op', 'it', oneOf('a', 2, null), 'b'), 'must be "a", 2 or null, got "b"'],
    [
      'undefined',
      () => checkValue('op', 'it', string(), undefined),
      'must be a string that is not empty, got undefined',
    ],
    [
      'own',
      () =>
        checkValue(
          'op',
          'it',
          that<number>('an even number', (v) => typeof v === 'number' && v % 2 === 0),
          3,
        ),
      'must be an even number, got 3',
    ],
  ];
  for (const [name, run, message] of rows) {
    test(`says what it wants: ${name}`, () => {
      if (message === undefined) run();
      else assert.throws(run, { message: `op: it ${message}`, name: 'OptionsError' });
    });
  }

  test('of a record names the entry', () => {
    assert.throws(() => checkValue('op', 'it', record(integer()), { a: 1, 'b c': 'x' }), {
      message: 'op: it["b c"] must be a whole number, got "x"',
    });
  });
});

test('types are inferred, and agree with the interface that is written by hand', () => {
  expectTypeOf<Agrees<typeof listenTable, ListenOptions>>().toEqualTypeOf<true>();
  expectTypeOf<Infer<typeof listenTable>['backlog']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<Infer<typeof listenTable>['port']>().toEqualTypeOf<number>();
  expectTypeOf<Infer<typeof listenTable>['families']>().toEqualTypeOf<readonly ('ipv4' | 'ipv6')[] | undefined>();
  expectTypeOf<Infer<typeof listenTable>>().toExtend<ListenOptions>();
  expectTypeOf<Agrees<typeof listenTable, ListenOptions & { more: 1 }>>().toEqualTypeOf<{
    readonly missingInTable: 'more';
    readonly missingInInterface: never;
  }>();
  expectTypeOf<Agrees<typeof listenTable, Omit<ListenOptions, 'host'>>>().toEqualTypeOf<{
    readonly missingInTable: never;
    readonly missingInInterface: 'host';
  }>();
});

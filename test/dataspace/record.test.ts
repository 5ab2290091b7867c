import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { _, capture, isHole } from '../../src/dataspace/hole.ts';
import { toTopic } from '../../src/dataspace/pattern.ts';
import { isRecord, labelOf, record } from '../../src/dataspace/record.ts';
import { Program } from '../support/program.ts';
import { equalTopics } from '../../src/dataspace/unify.ts';

const address = record('tcp-address', ['host', 'port']).of<{ host: string; port: number }>();

describe('records', () => {
  test('have their fields as properties, and are frozen', () => {
    const made = address('localhost', 80);
    assert.equal(made.host, 'localhost');
    assert.equal(made.port, 80);
    assert.deepEqual(Object.keys(made), ['host', 'port']);
    assert.deepEqual({ ...made }, { host: 'localhost', port: 80 });
    assert.equal(JSON.stringify(made), '{"host":"localhost","port":80}');
    assert.ok(Object.isFrozen(made));
    assert.throws(() => Object.assign(made, { host: 'elsewhere' }), TypeError);
  });

  test('know their label, and are known by it', () => {
    const made = address('localhost', 80);
    assert.equal(labelOf(made), 'tcp-address');
    assert.equal(address.label, 'tcp-address');
    assert.deepEqual(address.names, ['host', 'port']);
    assert.ok(isRecord(made) && !isRecord({ host: 'localhost', port: 80 }) && !isRecord(null) && !isRecord('x'));
    assert.ok(address.is(made) && address.is(address(_, _)));
    assert.ok(!address.is(record('udp-address', ['host', 'port'])('localhost', 80)));
    assert.ok(!address.is({ host: 'localhost', port: 80 }) && !address.is(_) && !address.is(undefined));
    assert.ok(record('tcp-address', ['host', 'port']).is(made));
    assert.ok(!record('tcp-address', ['host', 'service']).is(made), 'its fields would not be found');
    assert.match(inspect(made), /^tcp-address.*host: 'localhost'/u);
  });

  test('are different to assert.deepEqual when their labels are', () => {
    assert.deepEqual(address('a', 1), address('a', 1));
    assert.notDeepEqual(address('a', 1), address('a', 2));
    assert.notDeepEqual(address('a', 1), record('udp-address', ['host', 'port'])('a', 1));
  });

  test('match by label and the number of their fields', () => {
    assert.ok(equalTopics(address('a', 1), record('tcp-address', ['x', 'y'])('a', 1)));
    assert.ok(!equalTopics(record('r', ['x'])(1), record('r', ['x', 'y'])(1, 2)));
    assert.ok(!equalTopics(record('1 r', ['x'])(1), record('r', ['x'])(1)));
  });

  test('may have fields called as what every object inherits', () => {
    const odd = record('odd', ['constructor', 'toString', 'hasOwnProperty', 'valueOf', 'then']);
    const made = odd(1, 'two', null, true, _);
    assert.deepEqual(Object.values(made), [1, 'two', null, true, _]);
    assert.equal(made.constructor, 1);
    assert.equal(made.toString, 'two');
    assert.ok(odd.is(made) && Object.isFrozen(made));
    assert.ok(equalTopics(made, odd(1, 'two', null, true, _)));
    assert.deepEqual(Object.getOwnPropertyNames(Object.prototype).includes('odd'), false);
    assert.equal({}.constructor, Object);
  });

  test('are the same where what every object inherits is frozen', async (t) => {
    const module = (path: string): string =>
      JSON.stringify(new URL(`../../src/dataspace/${path}`, import.meta.url).href);
    const code = `
      Object.freeze(Object.prototype);
      const { record } = await import(${module('record.ts')});
      const { capture } = await import(${module('hole.ts')});
      const { Pattern } = await import(${module('pattern.ts')});
      const odd = record('odd', ['toString', 'constructor']);
      const made = odd('text', 1);
      const bound = new Pattern(odd(capture('valueOf'), capture('constructor'))).bind(made);
      process.stdout.write(JSON.stringify([made, bound]));
    `;
    const program = new Program(t, process.execPath, ['--input-type=module', '--eval', code], {});
    assert.deepEqual(await program.exit, { code: 0, signal: null }, program.err);
    assert.equal(program.out, '[{"toString":"text","constructor":1},{"valueOf":"text","constructor":1}]');
  });

  test('can’t have a field called __proto__', () => {
    assert.throws(() => record('bad', ['__proto__']), { code: 'ERR_PORTSIDE_TOPIC', message: /"__proto__"/u });
    assert.throws(() => capture('__proto__'), { code: 'ERR_PORTSIDE_TOPIC', message: /"__proto__"/u });
  });

  test('are refused with a label or names that are none', () => {
    const bad: [unknown, unknown, RegExp][] = [
      ['', [], /a record needs a label/u],
      [7, [], /a record needs a label, .* got 7/u],
      ['r', 'name', /"r" needs a list .* got "name"/u],
      ['r', [''], /a field of the record "r" needs a name/u],
      ['r', ['a', 'b', 'a'], /"r" has two fields called "a"/u],
      ['r', Array.from({ length: 65 }, (_none, i) => `f${i}`), /at most 64/u],
    ];
    for (const [label, names, message] of bad)
      assert.throws(() => record(label as string, names as string[]), { code: 'ERR_PORTSIDE_TOPIC', message });
  });

  test('are refused with too few or too many fields', () => {
    const make = address as unknown as (...fields: unknown[]) => unknown;
    const message = /tcp-address has 2 fields \(host, port\), and was given/u;
    assert.throws(() => make('localhost'), { code: 'ERR_PORTSIDE_TOPIC', message });
    assert.throws(() => make('localhost', 1, 2), { code: 'ERR_PORTSIDE_TOPIC', message });
  });

  test('say where in them something is no plain data', () => {
    const make = record('box', ['inside']) as unknown as (inside: unknown) => unknown;
    const bad: [unknown, RegExp][] = [
      [undefined, /^box\.inside must be plain data .* got undefined; leave it out/u],
      [new Date(), /^box\.inside .* got a Date; make a record of it/u],
      [{ a: 1 }, /^box\.inside .* got an object/u],
      [[1, [2, new Map()]], /^box\.inside\[1\]\[1\] .* got a Map/u],
      // oxlint-disable-next-line no-sparse-arrays -- a hole in a list is what is refused
      [[1, , 3], /^box\.inside\[1\] .* got undefined/u],
      [() => 1, /got a function/u],
      [10n, /got 10n/u],
      [Symbol('s'), /got a symbol/u],
      [new Uint16Array(1), /got an Uint16Array/u],
      [new ArrayBuffer(1), /got an ArrayBuffer/u],
      [new Uint8ClampedArray(1), /got an Uint8ClampedArray/u],
    ];
    for (const [inside, message] of bad)
      assert.throws(() => make(inside), { code: 'ERR_PORTSIDE_TOPIC', message }, String(message));
  });

  test('copy the lists that they are given, and keep their bytes', () => {
    const box = record('box', ['inside']);
    const list = [1, [2]];
    const bytes = Uint8Array.of(1);
    const made = box([list, bytes]);
    list[0] = 9;
    assert.deepEqual(made.inside, [[1, [2]], Uint8Array.of(1)]);
    assert.equal((made.inside as unknown[])[1], bytes);
    assert.ok(Object.isFrozen(made.inside) && Object.isFrozen((made.inside as unknown[])[0]));
    const known = toTopic([1, [2]]);
    assert.equal(toTopic(known), known, 'what is known to be a topic is not copied again');
    assert.equal(box(known).inside, known);
  });
});

describe('holes', () => {
  test('are known for what they are', () => {
    assert.ok(isHole(_) && isHole(capture('x')) && !isHole({}) && !isHole(null) && !isHole('_'));
    assert.equal(capture('x').name, 'x');
    const typed = capture('x');
    assert.equal(typed.of<number>(), typed);
    assert.ok(Object.isFrozen(_));
    for (const fake of [Object.create(_) as unknown, Object.create(record('r', ['x'])(1))]) {
      assert.ok(!isHole(fake) && !isRecord(fake));
      assert.throws(() => toTopic([fake] as never), { code: 'ERR_PORTSIDE_TOPIC' });
    }
  });

  test('need a name to capture by', () => {
    assert.throws(() => capture(''), { code: 'ERR_PORTSIDE_TOPIC', message: /not empty/u });
    assert.throws(() => capture(7 as unknown as string), { code: 'ERR_PORTSIDE_TOPIC', message: /got 7/u });
  });
});

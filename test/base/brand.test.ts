import { test } from 'node:test';
import assert from 'node:assert/strict';
import { branded } from '../../src/base/brand.ts';

test('a brand holds for what is made from a marked prototype, and for nothing else', () => {
  class Listener {}
  class Sub extends Listener {}
  class Other {}
  const listeners = branded<Listener>('test-listener');
  listeners.mark(Listener.prototype);
  assert.ok(listeners.is(new Listener()));
  assert.ok(listeners.is(new Sub()));
  for (const value of [new Other(), {}, null, undefined, 5, 'x', Listener, Object.create(null)])
    assert.ok(!listeners.is(value));
  assert.deepEqual(Object.keys(new Listener()), []);
});

test('a brand holds across copies of the package', async () => {
  class Connection {}
  branded<Connection>('test-connection').mark(Connection.prototype);
  const address = '../../src/base/brand.ts?another-copy';
  const copy = (await import(address)) as { branded: typeof branded };
  assert.notEqual(copy.branded, branded);
  assert.ok(copy.branded<Connection>('test-connection').is(new Connection()));
  assert.ok(!copy.branded<Connection>('test-listener').is(new Connection()));
});

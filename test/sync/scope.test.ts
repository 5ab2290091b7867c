import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import type { PortsideError } from '../../src/base/errors.ts';
import type { OptionsError } from '../../src/base/options.ts';
import { systemClock } from '../../src/sync/clock.ts';
import { seededRandom, systemRandom } from '../../src/sync/random.ts';
import { Scope, currentClock, currentRandom, currentScope } from '../../src/sync/scope.ts';
import type { GuardRequest } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { turn } from './support.ts';

const listening: GuardRequest = { op: 'listen', role: 'server', host: '127.0.0.1', port: 80 };
const connecting: GuardRequest = { op: 'connect', role: 'client', host: '::1', port: 5999 };

function root(options: ConstructorParameters<typeof Scope>[0] = {}): Scope {
  return new Scope({ parent: null, ...options });
}

describe('the current scope', () => {
  test('is the one that runs, through promises and timers, and none outside', async () => {
    const outer = root();
    const inner = root();
    assert.equal(currentScope(), undefined);
    await outer.run(async () => {
      assert.equal(currentScope(), outer);
      await turn();
      assert.equal(currentScope(), outer);
      assert.equal(
        inner.run(() => currentScope()),
        inner,
      );
      assert.equal(currentScope(), outer);
    });
    assert.equal(currentScope(), undefined);
  });

  test('brings its clock and randomness, which inner scopes inherit', () => {
    const clock = new VirtualClock();
    const random = seededRandom(1);
    assert.deepEqual([currentClock(), currentRandom()], [systemClock, systemRandom]);
    const scope = root({ clock, random });
    scope.run(() => {
      assert.deepEqual([currentClock(), currentRandom()], [clock, random]);
      const inner = new Scope({ clock: systemClock });
      assert.deepEqual([inner.clock, inner.random], [systemClock, random]);
    });
  });

  test('is asked for at the price of a comparison, and async hooks stay off, until a scope runs', () => {
    const script = `
      import { AsyncLocalStorage } from 'node:async_hooks';
      let runs = 0;
      const { run } = AsyncLocalStorage.prototype;
      AsyncLocalStorage.prototype.run = function (...values) { runs++; return run.apply(this, values); };
      let asked = 0;
      const { getStore } = AsyncLocalStorage.prototype;
      AsyncLocalStorage.prototype.getStore = function () { asked++; return getStore.call(this); };
      const { Scope, currentScope } = await import(${JSON.stringify(new URL('../../src/sync/scope.ts', import.meta.url).href)});
      const scope = new Scope();
      scope.own({ what: 'x', drop() {} });
      currentScope();
      await scope.close();
      const before = [runs, asked];
      scope.run(() => currentScope());
      console.log(JSON.stringify([before, [runs, asked]]));
    `;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const [before, after] = JSON.parse(output) as [number[], number[]];
    assert.deepEqual(before, [0, 0]);
    // The counting itself works.
    assert.ok(after[0] === 1 && (after[1] ?? 0) > 0);
  });
});

describe('a scope', () => {
  test('closes what it owns newest first, each after the last has closed', async () => {
    const scope = root({ name: 'test' });
    const log: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      scope.own({
        what: name,
        drop: async () => {
          log.push(`${name} begins`);
          await turn();
          log.push(`${name} ends`);
        },
      });
    }
    const report = await scope.close();
    assert.deepEqual(log, ['c begins', 'c ends', 'b begins', 'b ends', 'a begins', 'a ends']);
    assert.deepEqual(report, {
      name: 'test',
      open: ['c', 'b', 'a'].map((what) => ({ what, openedAt: undefined })),
      errors: [],
    });
    assert.deepEqual(scope.report(), []);
  });

  test('lets go of what was disowned, also while it closes', async () => {
    const scope = root();
    const dropped: string[] = [];
    const own = (what: string, drop?: () => void): (() => void) =>
      scope.own({
        what,
        drop: () => {
          dropped.push(what);
          drop?.();
        },
      });
    const early = own('early');
    const late = own('closed by the newest');
    own('newest', () => late());
    early();
    early();
    assert.deepEqual(
      scope.report().map(({ what }) => what),
      ['newest', 'closed by the newest'],
    );
    const { open } = await scope.close();
    assert.deepEqual(dropped, ['newest']);
    assert.equal(open.length, 1);
  });

  test('closes on when a drop fails, and reports the failure', async () => {
    const scope = root();
    const dropped: string[] = [];
    scope.own({ what: 'first', drop: () => void dropped.push('first') });
    scope.own({ what: 'rejects', drop: () => Promise.reject(new Error('rejected')) });
    scope.own({
      what: 'throws',
      drop: () => {
        throw new Error('thrown');
      },
    });
    const { open, errors } = await scope.close();
    assert.deepEqual(dropped, ['first']);
    assert.equal(open.length, 3);
    assert.deepEqual(
      errors.map(({ what, error }) => `${what}: ${(error as Error).message}`),
      ['throws: thrown', 'rejects: rejected'],
    );
  });

  test('closes once: each call gives the same promise, also from inside a drop', async () => {
    const scope = root();
    let inside: unknown;
    let drops = 0;
    scope.own({
      what: 'x',
      drop: () => {
        drops++;
        inside = scope.close();
      },
    });
    assert.equal(scope.closed, false);
    const closing = scope.close();
    assert.equal(scope.closed, true);
    assert.equal(scope.close(), closing);
    assert.equal(inside, closing);
    await closing;
    assert.equal(drops, 1);
  });

  test('that is closed owns, opens and contains nothing more', async () => {
    const scope = root({ name: 'done' });
    await scope.close();
    const refused = { code: 'ERR_PORTSIDE_SCOPE_CLOSED', message: /Scope done is closed/ };
    assert.throws(() => scope.own({ what: 'x', drop() {} }), refused);
    assert.throws(() => scope.check(listening), refused);
    assert.throws(() => new Scope({ parent: scope }), refused);
    scope.run(() => assert.throws(() => new Scope(), refused));
  });

  test('owns its inner scopes as one of its resources, in order', async () => {
    const log: string[] = [];
    const note = (what: string): { what: string; drop: () => void } => ({ what, drop: () => void log.push(what) });
    const outer = root({ name: 'outer' });
    outer.own(note('before'));
    const inner = new Scope({ parent: outer, name: 'inner' });
    outer.own(note('after'));
    inner.own(note('within'));
    inner.own({ what: 'bad', drop: () => Promise.reject(new Error('bad')) });
    const expected = ['after', 'scope inner', 'inner: bad', 'inner: within', 'before'];
    assert.deepEqual(
      outer.report().map(({ what }) => what),
      expected,
    );
    const { open, errors } = await outer.close();
    assert.deepEqual(log, ['after', 'within', 'before']);
    assert.deepEqual(
      open.map(({ what }) => what),
      expected,
    );
    assert.deepEqual(
      errors.map(({ what }) => what),
      ['inner: bad'],
    );
    assert.equal(inner.closed, true);
  });

  test('that closes by itself leaves its parent', async () => {
    const outer = root();
    const inner = outer.run(() => new Scope({ name: 'inner' }));
    assert.equal(outer.report().length, 1);
    await inner.close();
    assert.deepEqual(outer.report(), []);
    assert.equal(outer.run(() => new Scope({ parent: null })).closed, false);
    assert.deepEqual(outer.report(), []);
  });

  test('says where things were opened when it traces, and inherits that', async () => {
    const outer = root({ trace: true });
    function openSomething(scope: Scope): void {
      scope.own({ what: 'something', drop() {} });
    }
    openSomething(outer);
    openSomething(new Scope({ parent: outer }));
    openSomething(new Scope({ parent: outer, trace: false }));
    const [scope2, untraced, scope1, traced, first] = outer.report();
    assert.match(first?.openedAt ?? '', /^at openSomething .*scope\.test\.ts/);
    assert.match(traced?.openedAt ?? '', /^at openSomething /);
    assert.match(scope1?.openedAt ?? '', /^at .*scope\.test\.ts/);
    assert.match(scope2?.openedAt ?? '', /scope\.test\.ts/);
    assert.equal(untraced?.openedAt, undefined);
    const { open } = await outer.close();
    assert.equal(open[4]?.openedAt, first?.openedAt);
  });

  test('asks what a thing is only when it reports, and survives a description that throws', async () => {
    const scope = root();
    let asked = 0;
    scope.own({
      get what() {
        asked++;
        return `asked ${asked} times`;
      },
      drop() {},
    });
    scope.own({
      get what(): string {
        throw new Error('no name');
      },
      drop() {},
    });
    assert.equal(asked, 0);
    assert.deepEqual(
      scope.report().map(({ what }) => what),
      ['a resource whose description failed (Error: no name)', 'asked 1 times'],
    );
    assert.equal((await scope.close()).open.length, 2);
  });

  test('that is disposed rejects with what its drops threw, since nobody sees the report', async () => {
    const clean = root();
    await clean[Symbol.asyncDispose]();
    const one = root();
    const error = new Error('one');
    one.own({ what: 'x', drop: () => Promise.reject(error) });
    await assert.rejects(one[Symbol.asyncDispose](), error);
    const two = root();
    for (const what of ['a', 'b']) two.own({ what, drop: () => Promise.reject(new Error(what)) });
    await assert.rejects(two[Symbol.asyncDispose](), (failure: AggregateError) => failure.errors.length === 2);
  });

  test('closes newest first, each resource once, for any program of owning, nesting, disowning and closing', async () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constantFrom('own' as const, 'nest' as const), where: fc.nat(5) }),
      fc.record({ kind: fc.constant('disown' as const), where: fc.nat(20) }),
      fc.record({ kind: fc.constant('close' as const), where: fc.integer({ min: 1, max: 5 }) }),
    );
    type Node = { readonly id: number; readonly inner: Node[] | undefined };
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 30 }), async (program) => {
        const dropped: number[] = [];
        const expected: number[] = [];
        const scopes: { scope: Scope; node: Node; parent: Node | undefined }[] = [
          { scope: root(), node: { id: -1, inner: [] }, parent: undefined },
        ];
        const owned: { disown: () => void; node: Node; parent: Node }[] = [];
        let ids = 0;
        const close = (node: Node): void => {
          for (const one of (node.inner ?? []).splice(0).toReversed()) {
            if (one.inner === undefined) expected.push(one.id);
            else close(one);
          }
        };
        for (const { kind, where } of program) {
          if (kind === 'disown') {
            const one = owned[where];
            one?.disown();
            if (one !== undefined && one.parent.inner?.includes(one.node)) {
              one.parent.inner.splice(one.parent.inner.indexOf(one.node), 1);
            }
            continue;
          }
          const place = scopes[where];
          if (place === undefined) continue;
          const { scope, node, parent } = place;
          if (kind === 'close') {
            close(node);
            if (parent?.inner?.includes(node)) parent.inner.splice(parent.inner.indexOf(node), 1);
            await scope.close();
          } else if (scope.closed) {
            assert.throws(() => scope.own({ what: '', drop() {} }), { code: 'ERR_PORTSIDE_SCOPE_CLOSED' });
          } else if (kind === 'own') {
            const id = ids++;
            const leaf: Node = { id, inner: undefined };
            node.inner?.push(leaf);
            const disown = scope.own({ what: String(id), drop: () => void dropped.push(id) });
            owned.push({ disown, node: leaf, parent: node });
          } else {
            const inner: Node = { id: ids++, inner: [] };
            node.inner?.push(inner);
            scopes.push({ scope: new Scope({ parent: scope }), node: inner, parent: node });
          }
        }
        close(scopes[0]!.node);
        await scopes[0]!.scope.close();
        assert.deepEqual(dropped, expected);
        assert.ok(scopes.every(({ scope }) => scope.closed));
      }),
      { numRuns: 150 },
    );
  });
});

describe('the options of a scope', () => {
  test('are checked, all at once, and a misspelt guard is not passed over', () => {
    assert.throws(() => new Scope({ gaurd: () => false } as never), {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: /gaurd.*guard/,
    });
    const wrong = { name: '', parent: {}, clock: 1, random: null, guard: true, trace: 1 };
    assert.throws(
      () => new Scope(wrong as never),
      (error: OptionsError) => error.problems.length === 6,
    );
  });
});

describe('a guard', () => {
  test('is asked in its scope and in those within, the innermost first', () => {
    const asked: string[] = [];
    const note = (name: string) => (request: GuardRequest) => void asked.push(`${name} ${request.op} ${request.host}`);
    const outer = root({ guard: note('outer') });
    const middle = new Scope({ parent: outer });
    const inner = new Scope({ parent: middle, guard: note('inner') });
    inner.check(listening);
    outer.check(connecting);
    root().check(listening);
    assert.deepEqual(asked, ['inner listen 127.0.0.1', 'outer listen 127.0.0.1', 'outer connect ::1']);
  });

  test('refuses by false or by throwing, which becomes the cause', () => {
    const why = new Error('not here');
    const refusing = root({ name: 'jail', guard: () => false });
    const throwing = root({
      guard: () => {
        throw why;
      },
    });
    assert.throws(() => new Scope({ parent: refusing, guard: () => true }).check(listening), {
      code: 'ERR_PORTSIDE_GUARD',
      message: 'A guard of scope jail refused to listen on 127.0.0.1:80',
      op: 'listen',
      local: '127.0.0.1:80',
    });
    assert.throws(() => throwing.check(connecting), {
      code: 'ERR_PORTSIDE_GUARD',
      message: 'A guard of scope unnamed refused to connect to [::1]:5999',
      remote: '[::1]:5999',
      cause: why,
    });
    assert.throws(() => refusing.check({ ...listening, host: 'unix:/run/x.sock', port: undefined }), {
      local: 'unix:/run/x.sock',
    });
  });

  test('that answers with a promise refuses: it can not be waited for', () => {
    const late = root({ guard: (async () => true) as unknown as () => boolean });
    assert.throws(
      () => late.check(listening),
      (error: PortsideError) => error.code === 'ERR_PORTSIDE_GUARD' && String(error.cause).includes('answer at once'),
    );
  });
});

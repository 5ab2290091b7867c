import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { _ } from '../../src/dataspace/hole.ts';
import type { ActorEnd } from '../../src/dataspace/kernel-settings.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Datum } from '../../src/dataspace/topic-types.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

/** A space that writes down how its actors ended. */
function watched(options: { readonly queueLimit?: number; readonly signal?: AbortSignal } = {}) {
  const ends: ActorEnd[] = [];
  const space = new Dataspace({ ...options, onActorEnd: (end) => ends.push(end) });
  return { space, ends, kinds: () => ends.map(({ name, reason }) => `${name ?? '?'} ${reason.kind}`) };
}

// By another name: what has a `then` written out is taken for a mistake.
const THEN = String('then');

/** Lives until it is told to quit or to fail. */
const lives = (topic: Datum) => (self: Self) =>
  self.subscribe([topic, _], {
    onMessage: ({ topic: [, what] }) => {
      if (what === 'fail') throw new Error('told to');
      self.quit(what);
    },
  });

describe('the lives of actors', () => {
  test('an actor with no endpoint, no queue and no work outstanding ends', async () => {
    const { space, kinds } = watched();
    space.spawn(() => 0, { name: 'nothing' });
    space.spawn((self) => self.publish('x').withdraw(), { name: 'flicker' });
    space.spawn((self) => self.publish('x'), { name: 'publisher' });
    space.spawn((self) => self.async(turnOfLoop()), { name: 'waiter' });
    assert.deepEqual(await space.run(), { state: 'idle', failed: 0, failures: [] });
    assert.deepEqual(kinds(), ['nothing done', 'flicker done', 'waiter done']);
    assert.deepEqual(
      space.inspect().actors.map(({ name }) => name),
      ['publisher'],
    );
  });

  test('quit ends oneself or another by id, with a reason that peers see; an unknown id is nobody', async () => {
    const { space, ends } = watched();
    const seen: unknown[] = [];
    space.spawn((self) => self.observePublishers(_, { onAbsence: ({ topic, reason }) => seen.push([topic, reason]) }));
    const other = space.spawn((self) => self.publish('other'));
    space.spawn((self) => {
      self.publish('own');
      self.async(Promise.resolve(), () => {
        self.quit(other, 'go');
        self.quit(99, 'nobody');
        self.quit('done');
        self.quit('too late');
      });
    });
    assert.equal((await space.run()).failed, 0);
    assert.deepEqual(seen, [
      ['other', { kind: 'quit', by: 3, detail: 'go' }],
      ['own', { kind: 'quit', by: 3, detail: 'done' }],
    ]);
    assert.deepEqual(
      ends.map(({ actor }) => actor),
      [2, 3],
    );
  });

  test('who quits is heard with what it said in its last turn, and what it started lives', async () => {
    const { space, kinds } = watched();
    const heard: unknown[] = [];
    space.spawn((self) => self.subscribe(_, { onMessage: ({ topic }) => heard.push(topic) }), { name: 'listener' });
    space.spawn(
      (self) => {
        self.quit();
        self.publish('never seen');
        self.send('last words');
        self.spawn((child) => child.send('alive'), { name: 'child' });
        self.spawnLinked((child) => child.send('dead'), { name: 'linked' });
      },
      { name: 'quitter' },
    );
    await space.run();
    assert.deepEqual(heard, ['last words', 'alive']);
    assert.deepEqual(kinds(), ['quitter quit', 'linked linked', 'child done']);
  });

  test('linked actors end with their parent, and their failure ends it; what they quit with does not', async () => {
    for (const [told, expected] of [
      [['child', 'enough'], ['child quit']],
      [
        ['child', 'fail'],
        ['child failed', 'parent linked', 'sibling linked', 'grandparent linked'],
      ],
      [
        ['parent', 'enough'],
        ['parent quit', 'child linked', 'sibling linked'],
      ],
    ] as const) {
      const { space, kinds, ends } = watched();
      space.spawn((self) => self.subscribe('unrelated'), { name: 'bystander' });
      space.spawn(
        (self) => {
          lives('grandparent')(self);
          self.spawnLinked(
            (parent) => {
              lives('parent')(parent);
              parent.spawnLinked(lives('child'), { name: 'child' });
              parent.spawnLinked(lives('sibling'), { name: 'sibling' });
            },
            { name: 'parent' },
          );
        },
        { name: 'grandparent' },
      );
      await space.run();
      space.spawn((self) => self.send(told), { name: 'told' });
      await space.run();
      assert.deepEqual(
        new Set(kinds().filter((kind) => kind !== 'told done')),
        new Set(expected),
        `${told.join(' ')}: ${kinds().join()}`,
      );
      const linked = ends.find(({ reason }) => reason.kind === 'linked')?.reason;
      if (linked?.kind === 'linked') assert.equal(linked.reason.kind, told[1] === 'fail' ? 'failed' : 'quit');
    }
  });

  test('a parent that has nothing but linked children waits for them', async () => {
    const { space, kinds } = watched();
    space.spawn((self) => self.spawnLinked(lives('child'), { name: 'child' }), { name: 'parent' });
    await space.run();
    assert.deepEqual(kinds(), []);
    space.spawn((self) => self.send(['child', null]), { name: 'told' });
    await space.run();
    assert.deepEqual(kinds(), ['told done', 'child quit', 'parent done']);
  });

  test('what an actor held is let go when it ends, in the opposite order; its signal says why', async () => {
    const { space } = watched();
    const log: unknown[] = [];
    let signal: AbortSignal | undefined;
    space.spawn((self) => {
      self.onEnd((reason) => log.push(`first ${reason.kind}`));
      self.onEnd((reason) => log.push(`second ${reason.kind}`));
      ({ signal } = self);
      assert.equal(signal.aborted, false);
      throw new Error('at once');
    });
    await space.run();
    assert.deepEqual(log, ['second failed', 'first failed']);
    assert.equal(signal?.aborted, true);
    assert.equal((signal.reason as { kind: string }).kind, 'failed');
  });
});

describe('running', () => {
  test('no actor starves another, and the event loop breathes', async () => {
    const space = new Dataspace({ slice: 100 });
    let spins = 0;
    const atOther: number[] = [];
    let stop = false;
    // Two messages for each one: its queue never empties.
    const greedy = (self: Self): void => {
      self.subscribe('spin', {
        onMessage: () => {
          spins += 1;
          if (!stop) self.send('spin');
        },
      });
      for (let i = 0; i < 50; i++) self.send('spin');
    };
    space.spawn(greedy);
    space.spawn((self) => {
      self.subscribe('polite', {
        onMessage: () => {
          atOther.push(spins);
          self.send('polite');
        },
      });
      self.send('polite');
    });
    const run = space.run();
    for (let i = 0; i < 20; i++) await turnOfLoop();
    assert.ok(atOther.length >= 10, `the polite one had ${atOther.length} turns`);
    const waits = atOther.slice(1).map((at, i) => at - (atOther[i] as number));
    assert.ok(Math.max(...waits) <= 16, `it waited for ${Math.max(...waits)} turns of the greedy one`);
    stop = true;
    space.end();
    assert.equal((await run).state, 'ended');
  });

  test('run goes on while a promise is waited for or an outside source is held, and comes again', async () => {
    const { space, kinds } = watched();
    let source: OutsideSource | undefined;
    const heard: unknown[] = [];
    space.spawn((self) => self.subscribe(_, { onMessage: ({ topic }) => heard.push(topic) }));
    space.spawn(
      (self) => {
        source = self.outside();
        const opened = source;
        opened.enter(() => self.send('one'));
      },
      { name: 'source' },
    );
    let over = false;
    const run = space.run().finally(() => (over = true));
    assert.equal(space.run() instanceof Promise, true);
    for (let i = 0; i < 5; i++) await turnOfLoop();
    assert.equal(over, false);
    assert.deepEqual(heard, ['one']);
    source?.release();
    assert.equal(
      source?.enter(() => heard.push('never')),
      false,
    );
    source?.release();
    await run;
    assert.deepEqual(kinds(), ['source done']);
    const token = space.outside();
    over = false;
    const again = space.run().finally(() => (over = true));
    for (let i = 0; i < 5; i++) await turnOfLoop();
    assert.equal(over, false);
    space.spawn((self) => self.send('two'));
    for (let i = 0; i < 5; i++) await turnOfLoop();
    assert.deepEqual(heard, ['one', 'two']);
    token.release();
    token.release();
    await again;
    await space.run();
  });

  test('run does not end while an actor that just ended another has something left to do', async () => {
    const space = new Dataspace();
    let heard = 0;
    space.spawn((self) => self.subscribe('x'));
    space.spawn((self) => {
      self.subscribe('go', { onMessage: () => self.quit(1, null) });
      self.subscribe('then', { onMessage: () => (heard += 1) });
      self.send('go');
      self.send('then');
    });
    await space.run();
    assert.equal(heard, 1);
  });

  for (const way of ['end', 'signal', 'scope', 'handler'] as const) {
    test(`a space is ended by ${way}: no handler is called any more, and what was held is let go`, async () => {
      const controller = new AbortController();
      const scope = new Scope({ parent: null });
      await scope.run(async () => {
        const { space, kinds } = watched({ signal: controller.signal });
        let called = 0;
        const finish = {
          end: () => space.end('over'),
          signal: () => controller.abort(),
          scope: () => void scope.close(),
        };
        space.spawn(
          (self) => {
            self.outside();
            self.publish('x');
            self.onEnd(() => (called += 1));
          },
          { name: 'holder' },
        );
        space.spawn(
          (self) => {
            self.observePublishers(_, { onAbsence: () => (called += 100) });
            if (way === 'handler') self.async(turnOfLoop(), () => space.end());
          },
          { name: 'watcher' },
        );
        const run = space.run();
        await turnOfLoop();
        if (way !== 'handler') finish[way]();
        assert.deepEqual(await run, { state: 'ended', failed: 0, failures: [] });
        assert.deepEqual(kinds(), ['holder stopped', 'watcher stopped']);
        assert.equal(called, 1);
        assert.equal(space.signal.aborted, true);
        assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
        assert.deepEqual(space.inspect().actors, []);
        assert.equal((await space.run()).state, 'ended');
      });
      assert.deepEqual((await scope.close()).open.length, way === 'scope' ? 1 : 0);
    });
  }

  test('each end is reported once, even when the space is ended by the report', async () => {
    const ends: string[] = [];
    const space: Dataspace = new Dataspace({
      onActorEnd: ({ actor, reason }) => {
        ends.push(`${actor} ${reason.kind}`);
        space.end();
      },
    });
    space.spawn((self) => self.subscribe('x'));
    space.spawn((self) => {
      self.spawnLinked((child) => child.subscribe('x'));
      self.async(Promise.resolve(), () => self.quit());
    });
    assert.equal((await space.run()).state, 'ended');
    assert.deepEqual(new Set(ends), new Set(['1 stopped', '2 quit', '3 linked']));
    assert.equal(ends.length, 3);
  });

  test('an actor whose queue grows over the limit ends, and nobody else', async () => {
    const { space, ends } = watched({ queueLimit: 100 });
    let heard = 0;
    space.spawn((self) => self.subscribe('flood', { onMessage: () => (heard += 1) }), { name: 'one' });
    space.spawn((self) => {
      for (let i = 0; i < 101; i++) self.send('flood');
      self.subscribe('other');
    });
    await space.run();
    assert.equal(heard, 0);
    assert.equal(ends.length, 1);
    const [{ name, reason }] = ends as [ActorEnd];
    assert.equal(name, 'one');
    assert.equal(reason.kind === 'failed' && reason.error.code, 'ERR_PORTSIDE_LIMIT');
    assert.equal(space.inspect().actors.length, 1);
  });

  test('hostile handlers end only their own actor', async () => {
    const { space, ends } = watched();
    const deep = (): number => deep() + 1;
    const heard: unknown[] = [];
    space.spawn((self) => self.subscribe(_, { onMessage: ({ topic }) => heard.push(topic) }), { name: 'witness' });
    space.spawn(deep);
    space.spawn(() => {
      // oxlint-disable-next-line no-throw-literal, typescript/only-throw-error -- anything can be thrown
      throw null;
    });
    const getter = () => {
      throw new Error('a getter');
    };
    space.spawn(() => Object.defineProperty({}, THEN, { get: getter }));
    const reject = (_ok: unknown, no: (error: unknown) => void) => no('a thenable');
    space.spawn(() => Object.fromEntries([[THEN, reject]]));
    space.spawn(() => {
      throw new Proxy(new Error('x'), { get: () => deep() });
    });
    space.spawn((self) => self.quit('not an id' as never, 'x'));
    space.spawn((self) =>
      self.subscribe(_, {
        get onMessage(): never {
          throw new Error('a handler that is a getter');
        },
      }),
    );
    space.spawn((self) => self.send('fine'));
    const { failed } = await space.run();
    assert.equal(failed, 7);
    assert.equal(ends.length, 8);
    assert.deepEqual(heard, ['fine']);
  });

  test('inspect tells who is there and who meets whom', async () => {
    const space = new Dataspace();
    space.spawn((self) => self.publish(['x', _], {}, { name: 'p' }), { name: 'ann' });
    space.spawn((self) => [self.observePublishers([_, 1], {}), self.outside().release()]);
    await space.run();
    const { actors, matches, turns, outstanding } = space.inspect();
    assert.deepEqual(
      actors.map(({ id, name, endpoints }) => [id, name, endpoints.length]),
      [
        [1, 'ann', 1],
        [2, undefined, 1],
      ],
    );
    assert.deepEqual(actors[0]?.endpoints[0], {
      id: 1,
      name: 'p',
      orientation: 'publisher',
      interest: 'participant',
      topic: ['x', _],
    });
    assert.deepEqual(matches, [{ publisher: 1, subscriber: 2, topic: ['x', 1] }]);
    assert.equal(turns, 2);
    assert.equal(outstanding, 0);
  });

  test('inspect has room for all that one endpoint meets', async () => {
    const space = new Dataspace();
    const many = 150_000;
    space.spawn((self) => {
      for (let i = 0; i < many; i++) self.observePublishers(_, {});
      self.publish('x');
    });
    await space.run();
    const { matches } = space.inspect();
    assert.equal(matches.length, many);
    assert.deepEqual(matches.at(-1), { publisher: many + 1, subscriber: many, topic: 'x' });
  });

  test('it goes by the clock of its scope', async () => {
    const clock = new VirtualClock();
    const scope = new Scope({ parent: null, clock });
    const space = scope.run(() => new Dataspace());
    let booted = false;
    space.spawn(() => (booted = true));
    const run = scope.run(() => space.run());
    for (let i = 0; i < 5; i++) await turnOfLoop();
    assert.equal(booted, false);
    await clock.run(run);
    assert.equal(booted, true);
  });

  test('wrong options are told all at once', () => {
    assert.throws(() => new Dataspace({ burst: 0, slice: 1.5, queueLimit: -1, sgnal: 1 } as never), {
      code: 'ERR_PORTSIDE_OPTIONS',
      message: /burst.*slice.*queueLimit.*/,
    });
    assert.throws(() => new Dataspace().spawn(1 as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => new Dataspace().spawn(() => 0, { name: 1 as never }), { code: 'ERR_PORTSIDE_OPTIONS' });
  });
});

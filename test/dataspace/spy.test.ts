import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { spy } from '../../src/dataspace/drivers/spy.ts';
import { formatReason } from '../../src/dataspace/format-reason.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();

/** Runs actors one after another, each when those before have nothing left to do, and a second later. */
async function spied(make: (lines: string[]) => Boot, ...boots: Boot[]): Promise<{ lines: string[]; failed: number }> {
  const clock = new VirtualClock();
  const scope = new Scope({ clock });
  return scope.run(async () => {
    const lines: string[] = [];
    const space = new Dataspace();
    let failed = 0;
    for (const boot of [make(lines), ...boots]) {
      space.spawn(boot);
      failed += (await clock.run(space.run())).failed;
      await clock.advance(1_000);
    }
    space.end();
    await scope.close();
    return { lines, failed };
  });
}

describe('a spy', () => {
  test('writes down who comes and goes on both sides and why, and what is said either way, with the time', async () => {
    const { lines } = await spied(
      (out) => spy((line) => out.push(line)),
      (self) => self.subscribe(says(_, _)),
      (self) => {
        const endpoint = self.publish(says('ann', _));
        self.send(says('ann', 'hello'));
        self.feedback(says('ann', 'thanks'));
        self.spawn((other) => {
          other.observePublishers(says('ann', _), {
            onPresence: () => endpoint.id,
            onMessage: () => other.quit('enough'),
          });
        });
      },
      (self) => self.send(says('ann', 'bye')),
      (self) => self.quit(2, 'you too'),
    );
    assert.deepEqual(lines, [
      '2025-01-01T00:00:01.000Z spy + subscriber 3 of actor 2 says(_, _)',
      '2025-01-01T00:00:02.000Z spy + publisher 4 of actor 3 says("ann", _)',
      '2025-01-01T00:00:02.000Z spy > says("ann", "hello")',
      '2025-01-01T00:00:02.000Z spy < says("ann", "thanks")',
      '2025-01-01T00:00:02.000Z spy + subscriber 5 of actor 4 (observer) says("ann", _)',
      '2025-01-01T00:00:03.000Z spy > says("ann", "bye")',
      '2025-01-01T00:00:03.000Z spy - subscriber 5 of actor 4 (observer) says("ann", _) quit by actor 4: "enough"',
      '2025-01-01T00:00:04.000Z spy - subscriber 3 of actor 2 says(_, _) quit by actor 6: "you too"',
    ]);
  });

  test('sees who was there before it, and only what meets its topic', async () => {
    const { lines } = await spied(
      () => (self) => void self.subscribe(says('ann', _)),
      (self) => self.publish(says('bob', _)),
      (self) => self.publish('something else'),
    );
    assert.deepEqual(lines, []);
    const late = await spied(
      () => (self) => void self.subscribe(says('ann', _)),
      (self) => self.publish(says('bob', _)),
    );
    assert.deepEqual(late.lines, []);
    const space = new Dataspace();
    const out: string[] = [];
    space.spawn((self) => {
      self.subscribe(says('ann', _));
      self.publish(says('bob', _));
      self.publish('something else');
    });
    await space.run();
    space.spawn(spy((line) => out.push(line.slice(25)), { topic: says(_, _), label: 'who' }));
    await space.run();
    assert.deepEqual(out.toSorted(), [
      'who + publisher 2 of actor 1 says("bob", _)',
      'who + subscriber 1 of actor 1 says("ann", _)',
    ]);
  });

  test('is seen by nobody, but by another spy', async () => {
    const seen: string[] = [];
    const { lines } = await spied(
      (out) => spy((line) => out.push(line.slice(25)), { label: 'one' }),
      (self) => {
        const onPresence = ({ actor }: { actor: number }): void => void (actor !== self.id && seen.push('seen'));
        self.publish(_, { onPresence });
        self.subscribe(_, { onPresence });
        self.observePublishers(_, { onPresence });
        self.observeSubscribers(_, { onPresence });
      },
      spy(() => {}),
    );
    assert.deepEqual(seen, []);
    assert.deepEqual(
      lines.filter((line) => line.includes('of actor 3')),
      ['one + subscriber 7 of actor 3 (everything) _', 'one + publisher 8 of actor 3 (everything) _'],
    );
    assert.deepEqual(
      lines.filter((line) => line.includes('of actor 1')),
      [],
    );
  });

  test('cuts what is long, and lets nothing move the cursor', async () => {
    const { lines } = await spied(
      (out) => spy((line) => out.push(line), { limit: 40 }),
      (self) => self.send(says('\u001B[2J\n', 'x'.repeat(100))),
    );
    assert.equal(lines.length, 1);
    assert.match(lines[0] as string, /^[^\p{Cc}]{60,80}…$/u);
  });

  test('whose sink throws ends, and nothing else does', async () => {
    let count = 0;
    const { failed } = await spied(
      () =>
        spy(() => {
          count += 1;
          throw new Error('no');
        }),
      (self) => self.subscribe(says(_, _)),
      (self) => self.send(says('ann', 'hello')),
    );
    assert.deepEqual([count, failed], [1, 1]);
  });

  test('needs a sink and a topic that is one', () => {
    assert.throws(() => spy(undefined as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => spy(() => {}, { labl: 'x' } as never), { code: 'ERR_PORTSIDE_OPTIONS' });
    assert.throws(() => spy(() => {}, { topic: new Date() as never }), { code: 'ERR_PORTSIDE_TOPIC' });
  });
});

describe('a reason as text', () => {
  const error = { name: 'TypeError', message: 'no\nway', code: undefined, stack: undefined, cause: undefined };
  const deep = (levels: number): EndReason =>
    levels === 0 ? { kind: 'done' } : { kind: 'linked', actor: levels, reason: deep(levels - 1) };
  for (const [reason, text] of [
    [{ kind: 'withdrawn', detail: undefined }, 'withdrawn'],
    [{ kind: 'withdrawn', detail: says('a', 'b') }, 'withdrawn: says("a", "b")'],
    [{ kind: 'replaced' }, 'replaced'],
    [{ kind: 'done' }, 'done'],
    [{ kind: 'quit', by: 3, detail: null }, 'quit by actor 3: null'],
    [{ kind: 'stopped', detail: undefined }, 'stopped'],
    [{ kind: 'failed', error }, 'failed: TypeError: "no\\nway"'],
    [{ kind: 'failed', error: { ...error, code: 'EIO' } }, 'failed: EIO: "no\\nway"'],
    [{ kind: 'failed', error: { ...error, code: '\u001B[2J' } }, 'failed: "\\u001b[2J": "no\\nway"'],
    [{ kind: 'failed', error: { ...error, name: 'a\nb' } }, 'failed: "a\\nb": "no\\nway"'],
    [
      { kind: 'linked', actor: 2, reason: { kind: 'failed', error } },
      'linked with actor 2: failed: TypeError: "no\\nway"',
    ],
    [deep(100), /^(linked with actor \d+: ){5}…$/u],
  ] satisfies readonly (readonly [EndReason, string | RegExp])[])
    test(`is ${String(text)}`, () => {
      if (typeof text === 'string') assert.equal(formatReason(reason), text);
      else assert.match(formatReason(reason), text);
    });
});

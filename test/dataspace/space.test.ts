import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { formatTopic } from '../../src/dataspace/format-topic.ts';
import { _, capture } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
const go = record('go', []);

/** Handlers that write down what they are told. */
function recorder(log: string[], who = '') {
  const line = (mark: string, topic: Topic, end = ''): void =>
    void log.push(`${who}${mark}${formatTopic(topic)}${end}`);
  return {
    onPresence: (event: { topic: Topic }) => line('+', event.topic),
    onAbsence: (event: { topic: Topic; reason: { kind: string } }) => line('-', event.topic, ` ${event.reason.kind}`),
    onMessage: (event: { topic: Topic }) => line('!', event.topic),
  };
}

/** Runs actors one after another, each when those before it have nothing left to do. */
async function stage(space: Dataspace, ...boots: ((self: Self) => unknown)[]): Promise<void> {
  for (const boot of boots) {
    space.spawn(boot);
    assert.deepEqual((await space.run()).failures, []);
  }
}

describe('endpoints', () => {
  test('a subscriber sees publishers and hears what is sent, with its captures bound', async () => {
    const space = new Dataspace();
    const heard: unknown[] = [];
    await stage(
      space,
      (self) => {
        self.subscribe(says(capture('who'), _), {
          onPresence: ({ topic, bindings, interest }) => heard.push([formatTopic(topic), bindings, interest]),
          onMessage: ({ topic, bindings }) => heard.push([topic.what, bindings.who]),
        });
      },
      (self) => {
        self.publish(says('ann', _));
        self.send(says('ann', 'hello'));
        self.feedback(says('ann', 'not for subscribers'));
      },
    );
    assert.deepEqual(heard, [
      ['says("ann", _)', { who: 'ann' }, 'participant'],
      ['hello', 'ann'],
    ]);
  });

  test('feedback goes to publishers, and nobody hears what does not meet its topic', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    await stage(
      space,
      (self) => self.publish(says('ann', _), recorder(log, 'ann')),
      (self) => self.publish(says('bob', _), recorder(log, 'bob')),
      (self) => self.feedback(says('ann', 'thanks')),
    );
    assert.deepEqual(log, ['ann!says("ann", "thanks")']);
  });

  test('a late comer gets the current set, once for each matching endpoint', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    await stage(
      space,
      (self) => [self.publish(says('ann', 'a')), self.publish(says('ann', 'a')), self.publish(says('bob', 'b'))],
      (self) => self.subscribe(says('ann', _), recorder(log)),
    );
    assert.deepEqual(log, ['+says("ann", "a")', '+says("ann", "a")']);
  });

  for (const [local, sees] of [
    ['participant', ['participant']],
    ['observer', ['participant']],
    ['everything', ['participant', 'observer', 'everything']],
  ] as const) {
    test(`of participants, observers and those interested in everything, ${local} sees ${sees.join(', ')}`, async () => {
      for (const watching of ['publishers', 'subscribers'] as const) {
        const space = new Dataspace();
        const seen: string[] = [];
        const gone: string[] = [];
        await stage(
          space,
          (self) => {
            for (const interest of ['participant', 'observer', 'everything'] as const) {
              if (watching === 'publishers') self.publish('x', {}, { interest });
              else self.subscribe('x', {}, { interest });
            }
            self.subscribe(go(), { onMessage: () => self.quit('bye') });
          },
          (self) => {
            const handlers = {
              onPresence: (event: { interest: string }) => seen.push(event.interest),
              onAbsence: (event: { interest: string; reason: unknown }) => {
                gone.push(event.interest);
                assert.deepEqual(event.reason, { kind: 'quit', by: 1, detail: 'bye' });
              },
            };
            if (watching === 'publishers') self.observePublishers('x', handlers, { interest: local });
            else self.observeSubscribers('x', handlers, { interest: local });
          },
          (self) => self.send(go()),
        );
        assert.deepEqual(seen, sees);
        assert.deepEqual(gone, sees);
      }
    });
  }

  test("an actor's own endpoints meet each other, and it hears itself once per endpoint", async () => {
    const space = new Dataspace();
    const log: string[] = [];
    await stage(space, (self) => {
      self.publish('x', recorder(log, 'p'));
      self.subscribe(_, recorder(log, 's'));
      self.observePublishers('x', recorder(log, 'o'));
      self.send('x');
    });
    assert.deepEqual(log, ['s+"x"', 'p+"x"', 'o+"x"', 's!"x"', 'o!"x"']);
  });

  test('what comes and goes within a turn is not seen, and an exchange is seen as one', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    await stage(
      space,
      (self) => self.subscribe(_, recorder(log)),
      (self) => {
        const flicker = self.publish('flicker');
        flicker.withdraw();
        flicker.withdraw();
        const stays = self.publish('before');
        self.subscribe(go(), {
          onMessage: () => {
            stays.withdraw('enough');
            self.send('last words');
            self.publish('after');
          },
        });
      },
      (self) => self.send(go()),
    );
    assert.deepEqual(log, ['+"before"', '!go()', '+"after"', '!"last words"', '-"before" withdrawn']);
  });

  test('a name replaces an endpoint in place: what stays the same is told to nobody', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    const mine: string[] = [];
    await stage(
      space,
      (self) => [self.subscribe('a', recorder(log, 'a')), self.subscribe(_, recorder(log, '_'))],
      (self) => {
        const first = self.publish('a', recorder(mine, '1'), { name: 'it' });
        self.async(Promise.resolve(), () => {
          const second = self.publish('a', recorder(mine, '2'), { name: 'it' });
          assert.equal(second.id, first.id);
          self.feedback('a');
          self.async(Promise.resolve(), () => {
            self.publish(_, recorder(mine, '3'), { name: 'it' });
            self.async(Promise.resolve(), () => {
              self.publish('b', recorder(mine, '4'), { name: 'it' });
              self.async(Promise.resolve(), () => first.withdraw());
            });
          });
        });
      },
    );
    assert.deepEqual(log, [
      ...['a+"a"', '_+"a"'],
      // `_` sees that the topic opened, and that it closed again; `a` has the same in common with it until it is `b`.
      ...['_+_', '_-"a" replaced'],
      ...['_+"b"', 'a-"a" replaced', '_-_ replaced'],
      '_-"b" withdrawn',
    ]);
    assert.deepEqual(mine, [
      '1+"a"',
      '1+"a"',
      '2!"a"',
      '3+_',
      '2-"a" replaced',
      '4+"b"',
      '3-"a" replaced',
      '3-_ replaced',
    ]);
  });

  test('a name may change sides: what is under way to the old side is not for the new one', async () => {
    const space = new Dataspace();
    const mine: string[] = [];
    const peer: string[] = [];
    await stage(
      space,
      (self) => [self.publish('x', recorder(peer, 'p')), self.subscribe('x', recorder(peer, 's'))],
      (self) => {
        self.publish('x', recorder(mine, '1'), { name: 'it' });
        self.async(Promise.resolve(), () => {
          self.feedback('x');
          self.subscribe('y', recorder(mine, 'twice in a turn'), { name: 'it' });
          self.subscribe('x', recorder(mine, '2'), { name: 'it' });
        });
      },
    );
    assert.deepEqual(mine, ['1+"x"', '2+"x"', '1-"x" replaced']);
    assert.deepEqual(peer, ['s+"x"', 'p+"x"', 's+"x"', 'p+"x"', 'p!"x"', 's-"x" replaced']);
  });

  test('a message that meets an endpoint on the way from one side to the other is dropped', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    await stage(
      space,
      (self) => {
        self.subscribe('x', recorder(log, 'old'), { name: 'it' });
        self.subscribe(go(), {
          onMessage: () => self.publish('x', recorder(log, 'new'), { name: 'it' }),
        });
      },
      (self) => {
        self.send(go());
        self.send('x');
      },
    );
    assert.deepEqual(log, []);
  });

  test('two names that change sides together are told, since each then sees the other from its new side', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    await stage(space, (self) => {
      self.publish('x', recorder(log, 'a'), { name: 'a' });
      self.subscribe('x', recorder(log, 'b'), { name: 'b' });
      self.async(Promise.resolve(), () => {
        log.length = 0;
        self.subscribe('x', recorder(log, 'A'), { name: 'a' });
        self.publish('x', recorder(log, 'B'), { name: 'b' });
      });
    });
    assert.deepEqual(new Set(log), new Set(['A+"x"', 'B+"x"', 'a-"x" replaced', 'b-"x" replaced']));
  });

  test('who takes over a name takes over what waits for it, and a change of interest alone is told', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    const peer: string[] = [];
    await stage(
      space,
      (self) => self.subscribe('x', recorder(peer)),
      (self) => {
        self.publish('x', recorder(log, '1'), { name: 'it' });
        self.subscribe(go(), { onMessage: () => self.publish('x', recorder(log, '2'), { name: 'it' }) });
        self.subscribe('hide', {
          onMessage: () => self.publish('x', recorder(log, '3'), { name: 'it', interest: 'observer' }),
        });
      },
      (self) => {
        self.send(go());
        self.feedback('x');
        self.spawn((child) => child.subscribe('x'));
      },
      (self) => self.send('hide'),
    );
    // The child has its turn before the change is asked for, and what it brings about waits until that is done.
    assert.deepEqual(log, ['1+"x"', '2!"x"', '2+"x"']);
    assert.deepEqual(peer, ['+"x"', '-"x" replaced']);
  });

  test('who takes over a name hears messages or not, whether the one before did', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    const hearing = { onMessage: () => log.push('heard') };
    const tell = (who: string, what: string) => (self: Self) => self.send(says(who, what));
    await stage(
      space,
      (self) => {
        const turn = ({ topic: { what } }: { topic: { what: string } }): unknown =>
          self.subscribe(go(), what === 'hear' ? hearing : {}, { name: 'it' });
        self.subscribe(says('listener', _), { onMessage: turn });
      },
      (self) => self.subscribe(says('sender', _), { onMessage: () => self.send(go()) }),
    );
    for (const what of ['rest', 'hear', 'rest', 'hear']) {
      await stage(space, tell('listener', what), tell('sender', 'go'), tell('sender', 'go'));
      log.push(what);
    }
    assert.deepEqual(log, ['rest', 'heard', 'heard', 'hear', 'rest', 'heard', 'heard', 'hear']);
  });

  test('endpoints and messages that are no plain data end only the actor that made them', async () => {
    const space = new Dataspace();
    space.spawn((self) => self.send(says('ann', _) as never));
    space.spawn((self) => self.publish(new Date() as never));
    space.spawn((self) => self.publish('x', { onPresense: () => 0 } as never));
    space.spawn((self) => self.publish('x', {}, { interest: 'some' } as never));
    const { failed, failures } = await space.run();
    assert.equal(failed, 4);
    assert.deepEqual(
      failures.map(({ reason }) => reason.kind === 'failed' && reason.error.code),
      ['ERR_PORTSIDE_TOPIC', 'ERR_PORTSIDE_TOPIC', 'ERR_PORTSIDE_OPTIONS', 'ERR_PORTSIDE_OPTIONS'],
    );
  });
});

describe('turns', () => {
  test('nothing of a turn that throws takes effect, and its actor ends with the error as plain data', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    const reasons: unknown[] = [];
    let booted = 0;
    space.spawn((self) =>
      self.subscribe(_, {
        ...recorder(log),
        onAbsence: ({ topic, reason }) => reasons.push(topic, structuredClone(reason)),
      }),
    );
    space.spawn((self) => {
      self.publish('old');
      self.subscribe(go(), {
        onMessage: () => {
          self.publish('new');
          self.send('a message');
          self.spawn(() => (booted += 1));
          self.quit(1, undefined);
          throw Object.assign(new TypeError('oh', { cause: 'why' }), { code: 'E_OH' });
        },
      });
    });
    space.spawn((self) => self.async(Promise.resolve(), () => self.send(go())));
    const { failed, failures, state } = await space.run();
    assert.deepEqual(log, ['+"old"', '!go()']);
    assert.equal(booted, 0);
    assert.equal(reasons[0], 'old');
    const reason = reasons[1] as { kind: string; error: Record<string, unknown> };
    assert.equal(reason.kind, 'failed');
    const { name, message, code, cause } = reason.error;
    assert.deepEqual([name, message, code], ['TypeError', 'oh', 'E_OH']);
    assert.equal((cause as { message: string }).message, 'thrown: "why"');
    assert.equal(failed, 1);
    assert.equal(failures[0]?.actor, 2);
    assert.equal(state, 'idle');
    assert.deepEqual(
      space.inspect().actors.map(({ id }) => id),
      [1],
    );
  });

  test('a request outside of a turn is refused, after a wait, by another actor and after the end', async () => {
    const space = new Dataspace();
    const refused: unknown[] = [];
    const attempt = (fn: () => unknown): void => {
      try {
        refused.push(fn());
      } catch (error) {
        refused.push((error as { code: string }).code);
      }
    };
    let first: Self | undefined;
    space.spawn(async (self) => {
      first = self;
      const handle = self.publish('x');
      await turnOfLoop();
      for (const ask of [
        () => self.publish('y'),
        () => self.subscribe('y'),
        () => self.observePublishers('y', {}),
        () => self.observeSubscribers('y', {}),
        () => self.send('y'),
        () => self.feedback('y'),
        () => self.spawn(() => 0),
        () => self.spawnLinked(() => 0),
        () => self.quit(),
        () => self.async(Promise.resolve()),
        () => self.outside(),
        () => self.onEnd(() => {}),
        () => handle.withdraw(),
      ])
        attempt(ask);
    });
    await space.run();
    assert.deepEqual(refused, Array(13).fill('ERR_PORTSIDE_STATE'));
    refused.length = 0;
    space.spawn(() => {
      attempt(() => first?.send('y'));
      attempt(() => space.spawn(() => 0));
    });
    await space.run();
    space.end();
    attempt(() => first?.send('y'));
    attempt(() => space.spawn(() => 0));
    assert.deepEqual(refused, Array(4).fill('ERR_PORTSIDE_STATE'));
  });

  test('a promise comes back into a turn, keeps its actor alive, and ends it when it is rejected', async () => {
    const space = new Dataspace();
    const log: string[] = [];
    space.spawn((self) => self.subscribe(_, recorder(log)));
    space.spawn((self) => self.async(turnOfLoop('late'), (value) => self.send(value)), { name: 'waits' });
    space.spawn((self) => {
      self.publish('here');
      self.async(Promise.reject(new Error('no')));
    });
    space.spawn(async () => {
      await turnOfLoop();
      throw new Error('never');
    });
    const { failures } = await space.run();
    assert.deepEqual(log, ['+"here"', '-"here" failed', '!"late"']);
    const told = failures.map(({ reason }) => reason.kind === 'failed' && reason.error.message);
    assert.deepEqual(new Set(told), new Set(['never', 'no']));
    assert.equal(space.inspect().actors.length, 1);
  });
});

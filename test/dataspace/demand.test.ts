import { expectTypeOf } from 'expect-type';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matchDemand } from '../../src/dataspace/demand.ts';
import type { DemandHandle } from '../../src/dataspace/demand.ts';
import type { EndpointHandle } from '../../src/dataspace/endpoint.ts';
import { _, capture } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import type { Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';
import { publishersOf, subscribersOf } from '../../src/dataspace/watch.ts';
import { Bench, demand, fails, has, supply, wants, why } from './demand-bench.ts';

describe('demand', () => {
  test('starts one task for each thing, and the last of several demands to leave stops it', async () => {
    const bench = await new Bench().open();
    const first = await bench.want('a', '1');
    await bench.want('b');
    const second = await bench.want('a', '2');
    await bench.supply();
    assert.deepEqual(bench.news(), ['start a', 'start b']);
    await bench.drop(first);
    assert.deepEqual(bench.news(), []);
    await bench.drop(second);
    assert.deepEqual(bench.news(), ['end a: quit no demand']);
    assert.deepEqual(bench.states(), ['b up']);
  });

  test('that comes while the task is starting starts nothing twice', async () => {
    const bench = await new Bench().open();
    await bench.want('a');
    await bench.want('a');
    await bench.by((self) => {
      self.publish(wants('a', 'x'));
      self.publish(wants('a', 'y'));
    });
    assert.deepEqual(bench.news(), ['start a']);
    assert.deepEqual(bench.states(), ['a starting']);
    await bench.supply();
    assert.deepEqual(bench.states(), ['a up']);
    assert.deepEqual(bench.news(), []);
  });

  test('that goes while the task is starting calls it off', async () => {
    const bench = await new Bench().open({ stop: () => bench.log.push('asked') });
    await bench.drop(await bench.want('a'));
    assert.deepEqual(bench.news(), ['start a', 'end a: quit no demand']);
    assert.deepEqual(bench.states(), []);
  });

  test('that goes while the task is starting stops it once it is up, where that is asked for', async () => {
    const bench = await new Bench().open({ whileStarting: 'wait' });
    await bench.drop(await bench.want('a'));
    assert.deepEqual(bench.news(), ['start a']);
    await bench.want('a');
    await bench.supply();
    assert.deepEqual([bench.news(), bench.states()], [[], ['a up']], 'it came back in time');
    const other = await bench.want('b');
    await bench.drop(other);
    await bench.supply();
    assert.deepEqual(bench.news(), ['start b', 'end b: quit no demand']);
  });

  test('that is gone is not waited for beyond the time for starting', async () => {
    const bench = await new Bench().open({ whileStarting: 'wait', startTimeout: 50 });
    await bench.drop(await bench.want('a'));
    await bench.clock.advance(50);
    assert.deepEqual([bench.news(), bench.states()], [['start a', 'end a: quit no demand'], []]);
  });

  test('that comes back within a turn does nothing, by another endpoint, name or topic too', async () => {
    const bench = await new Bench().open();
    const old = await bench.want('a', '1');
    await bench.supply();
    const next = await bench.by((self) => {
      old.withdraw();
      return self.publish(wants('a', '2'));
    });
    await bench.by((self) => {
      next.withdraw();
      self.publish(wants('a', '3'), {}, { name: 'n' });
    });
    await bench.by((self) => self.publish(wants('a', '4'), {}, { name: 'n' }));
    assert.deepEqual(bench.news(), ['start a']);
    assert.deepEqual(
      bench.matcher.report().map(({ demand: d, supply: s }) => [d, s]),
      [[1, 1]],
    );
  });

  test('that comes back while the task is stopping starts it again when that has ended, at once', async () => {
    const bench = await new Bench().open({ stop: (_actor, { bindings }) => bench.log.push(`stop ${bindings.what}`) });
    const old = await bench.want('a');
    await bench.supply();
    await bench.drop(old);
    await bench.want('a');
    assert.deepEqual(bench.news(), ['start a', 'stop a']);
    await bench.task((self) => self.quit('flushed'));
    assert.deepEqual(bench.news(), ['end a: quit flushed', 'start a']);
  });

  test('there before the matcher is seen; so is supply, and then nothing is started', async () => {
    const bench = await new Bench().open();
    const handles = await bench.by((self) => [self.publish(wants('a', '')), self.publish(has('a'))]);
    assert.deepEqual(bench.news(), [], 'both came in one turn');
    await bench.match();
    assert.deepEqual(bench.news(), []);
    assert.deepEqual(bench.states(), ['a idle']);
    await bench.drop(handles[1] as EndpointHandle);
    assert.deepEqual(bench.news(), ['start a', 'start a'], 'one by each matcher');
  });

  test('that leaves a captured place open, and that of who only looks on, is none', async () => {
    const bench = await new Bench().open();
    await bench.by((self) => {
      self.publish(_, {}, { name: 'everything there is' });
      self.publish(wants(_, 'x'));
      self.publish(wants('a', 'x'), {}, { interest: 'observer' });
      self.publish(wants('b', 'x'), {}, { interest: 'everything' });
    });
    assert.deepEqual([bench.news(), bench.states()], [[], []]);
    await bench.by((self) => self.publish(wants('c', _)));
    assert.deepEqual(bench.news(), ['start c']);
  });

  test('may be of several kinds: those who observe, of either orientation, on topics with the same captures', async () => {
    const channel = record('channel', ['from', 'to']).of<{ from: string; to: string }>();
    const bench = new Bench();
    await bench.open();
    bench.space.spawn((self) => {
      matchDemand(self, {
        demand: [
          subscribersOf(channel(_, capture('port')), 'observers'),
          publishersOf(channel(capture('port'), _), 'observers'),
        ],
        start: (task, { bindings: { port } }) => {
          expectTypeOf(port).toEqualTypeOf<string>();
          bench.log.push(`open ${port}`);
          task.publish(channel('peer', port));
          task.onEnd(() => bench.log.push(`close ${port}`));
        },
      });
    });
    const [one, two] = await bench.by((self) => [
      self.observePublishers(channel(_, '80'), {}),
      self.observeSubscribers(channel('80', _), {}),
      self.subscribe(channel(_, '81')),
    ]);
    assert.deepEqual(bench.news(), ['open 80']);
    await bench.drop(one);
    assert.deepEqual(bench.news(), []);
    await bench.drop(two);
    assert.deepEqual(bench.news(), ['close 80']);
  });

  test('without captures is for one thing', async () => {
    const bench = new Bench();
    await bench.open();
    bench.space.spawn((self) => {
      const start = (task: Self): void => {
        bench.log.push('lit');
        task.publish('light');
      };
      matchDemand(self, { demand: subscribersOf(['light', _]), start });
    });
    await bench.by((self) => [self.subscribe(['light', 'red']), self.subscribe(['light', 'green'])]);
    assert.deepEqual(bench.news(), ['lit']);
  });
});

describe('supply', () => {
  test('that never comes is waited for as long as was said; then the task is lost', async () => {
    const bench = await new Bench().open({ startTimeout: 500, restart: { delay: 10 } });
    await bench.want('a');
    await bench.clock.advance(499);
    assert.deepEqual(bench.news(), ['start a']);
    await bench.clock.advance(1);
    assert.deepEqual([bench.news(), bench.states()], [['end a: quit no supply within 500 ms'], ['a waiting']]);
    await bench.clock.advance(10);
    await bench.supply();
    await bench.clock.advance(10_000);
    assert.deepEqual([bench.news(), bench.states()], [['start a'], ['a up']]);
  });

  test('lost while there is demand is started again, later each time, and given up beyond the limit', async () => {
    const given: [EndReason, string][] = [];
    const bench = await new Bench().open({
      restart: { delay: 100, maxDelay: 250, limit: 3, within: 60_000 },
      giveUp: (reason, { bindings }) => {
        given.push([reason, bindings.what]);
        return bench.matcherSelf.publish(['gave up', bindings.what]);
      },
    });
    const seen: Topic[] = [];
    await bench.by((self) =>
      self.observePublishers(['gave up', _], {
        onPresence: ({ topic }) => seen.push(topic),
        onAbsence: () => seen.push('gone'),
      }),
    );
    const wanted = await bench.want('a');
    for (const delay of [100, 200, 250]) {
      await bench.supply();
      await bench.task(fails);
      assert.deepEqual(bench.news(), ['start a', 'end a: broken']);
      await bench.clock.advance(delay - 1);
      assert.deepEqual([bench.news(), bench.states()], [[], ['a waiting']]);
      await bench.clock.advance(1);
    }
    await bench.task(fails);
    await bench.clock.advance(100_000);
    assert.deepEqual([bench.news(), bench.states()], [['start a', 'end a: broken'], ['a given up']]);
    assert.deepEqual(
      given.map(([reason, what]) => [why(reason), what]),
      [['broken', 'a']],
    );
    const more = await bench.want('a');
    assert.deepEqual(bench.news(), []);
    await bench.drop(wanted, more);
    assert.deepEqual([seen, bench.states()], [[['gave up', 'a'], 'gone'], []]);
    await bench.want('a');
    assert.deepEqual(bench.news(), ['start a'], 'who asks again is served again');
  });

  test('losses that are long ago are forgotten', async () => {
    const bench = await new Bench().open({ restart: { delay: 5, limit: 1, within: 1_000 } });
    await bench.want('a');
    for (let i = 0; i < 5; i++) {
      await bench.task(fails);
      await bench.clock.advance(5);
      await bench.clock.advance(1_000);
    }
    assert.equal(bench.news().filter((line) => line === 'start a').length, 6);
    await bench.task(fails);
    await bench.clock.advance(5);
    await bench.task(fails);
    assert.deepEqual(bench.states(), ['a given up']);
  });

  test('is not started again where restart is false', async () => {
    const bench = await new Bench().open({ restart: false });
    await bench.want('a');
    await bench.task((self) => self.quit());
    await bench.clock.advance(100_000);
    assert.deepEqual([bench.news(), bench.states()], [['start a', 'end a: quit for no reason'], ['a given up']]);
  });

  test('that the task withdraws ends the task, which is started again', async () => {
    const bench = await new Bench().open();
    await bench.want('a');
    const handle = await bench.supply();
    await bench.task(() => handle.withdraw());
    await bench.clock.advance(100);
    assert.deepEqual(bench.news(), ['start a', 'end a: quit the supply is gone', 'start a']);
  });

  test('by somebody else makes a restart needless until it goes', async () => {
    const bench = await new Bench().open();
    await bench.want('a');
    await bench.task(fails);
    const other = await bench.by((self) => self.publish(has('a')));
    await bench.clock.advance(100_000);
    assert.deepEqual([bench.news(), bench.states()], [['start a', 'end a: broken'], ['a idle']]);
    await bench.drop(other);
    assert.deepEqual(bench.news(), ['start a']);
  });

  test('lost is forgotten when the demand goes, whoever else supplies it', async () => {
    const bench = await new Bench().open({ restart: { delay: 1, limit: 1 } });
    const wanted = await bench.want('a');
    await bench.task(fails);
    const other = await bench.by((self) => self.publish(has('a')));
    await bench.drop(wanted);
    await bench.want('a');
    await bench.drop(other);
    await bench.task(fails);
    assert.deepEqual(bench.states(), ['a waiting']);
  });

  test('that comes in time is not missed by a matcher that hears of it late', async () => {
    const space = new Dataspace();
    let matcher: DemandHandle | undefined;
    space.spawn((self) => {
      matcher = matchDemand(self, {
        demand,
        supply,
        startTimeout: 5,
        start: (task, { bindings }) => {
          task.publish(has(bindings.what));
          const end = performance.now() + 20;
          while (performance.now() < end);
        },
      });
      self.publish(wants('a', ''));
    });
    assert.deepEqual((await space.run()).failures, []);
    assert.deepEqual(
      matcher?.report().map(({ state, actor }) => [state, actor]),
      [['up', 2]],
    );
  });

  test('is the life of the task where nothing else is said', async () => {
    const bench = await new Bench().open({ supply: undefined, restart: { delay: 1 } });
    const wanted = await bench.want('a');
    assert.deepEqual(bench.states(), ['a up']);
    await bench.task(fails);
    await bench.clock.advance(1);
    await bench.drop(wanted);
    assert.deepEqual(bench.news(), ['start a', 'end a: broken', 'start a', 'end a: quit no demand']);
  });

  test('is waited for no longer when the demand goes during the back-off', async () => {
    const bench = await new Bench().open();
    const wanted = await bench.want('a');
    await bench.task(fails);
    await bench.drop(wanted);
    assert.deepEqual(bench.states(), []);
    assert.equal(bench.clock.armed, 0, 'no timer is left');
    await bench.clock.advance(100_000);
    assert.deepEqual(bench.news(), ['start a', 'end a: broken']);
  });
});

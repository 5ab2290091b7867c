import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MOST_KEPT, MOST_KEPT_BYTES } from '../../examples/dns/limits.ts';
import type { DnsQuestion } from '../../examples/dns/topics.ts';
import { timerDriver } from '../../src/dataspace/drivers/timer-driver.ts';
import { _ } from '../../src/dataspace/hole.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { address, build, text } from './dns-building.ts';
import type { BuiltRecord } from './dns-building.ts';
import '../../scripts/on-source.ts';

// Only when the hook above is in place do they get the same copy of portside as this file.
const { cache } = await import('../../examples/dns/cache.ts');
const { readMessage } = await import('../../examples/dns/message.ts');
const { dnsAnswered, dnsQuestion } = await import('../../examples/dns/topics.ts');

const question = (name: string, type = 1): DnsQuestion => dnsQuestion(name, type, 1, false, false);

/** A cache in a time of its own. */
class Stage {
  readonly clock = new VirtualClock();
  readonly space: Dataspace;

  constructor() {
    this.space = new Scope({ clock: this.clock }).run(() => new Dataspace());
    this.space.spawn(timerDriver());
    this.space.spawn(cache(), { name: 'cache' });
    // It goes on while the test has something to say.
    this.space.outside();
    void this.space.run();
  }

  /** What is published for a moment. */
  async learn(name: string, ...answers: readonly BuiltRecord[]): Promise<void> {
    const type = answers[0]?.type ?? 1;
    const message = build({ flags: 0x8180, name, type, answers });
    const id = this.space.spawn((self) => {
      self.publish(dnsAnswered(question(name, type), message, self.clock.now()));
    });
    await this.clock.settle();
    this.space.spawn((self) => self.quit(id, undefined));
    await this.clock.settle();
  }

  /** The TTL of what is known, to who asks now; null for nothing. */
  async ask(name: string, type = 1): Promise<number | null> {
    const found: number[] = [];
    const boot: Boot = (self) => {
      self.subscribe(dnsAnswered(question(name, type), _, _), {
        onPresence: ({ topic: { message } }) => found.push(readMessage(message)?.records[0]?.ttl ?? -1),
      });
    };
    const id = this.space.spawn(boot);
    await this.clock.settle();
    this.space.spawn((self) => self.quit(id, undefined));
    await this.clock.settle();
    assert.ok(found.length <= 1);
    return found[0] ?? null;
  }

  /** How many answers there are. */
  async count(): Promise<number> {
    let count = 0;
    const id = this.space.spawn((self) => {
      self.observePublishers(dnsAnswered(_, _, _), {
        onPresence: () => {
          count += 1;
        },
      });
    });
    await this.clock.settle();
    this.space.spawn((self) => self.quit(id, undefined));
    await this.clock.settle();
    return count;
  }
}

describe('the cache of examples/dns-resolver.ts', () => {
  test('tells what somebody else told, for as long as it holds', async () => {
    const stage = new Stage();
    await stage.learn('a.example', address(1, 300));
    await stage.learn('b.example', address(2, 60));
    await stage.learn('c.example', address(2, 0));
    assert.deepEqual([await stage.ask('a.example'), await stage.ask('b.example')], [300, 60]);
    assert.equal(await stage.ask('c.example'), null);
    assert.equal(await stage.ask('a.example', 28), null);
    await stage.clock.advance(59_999 - stage.clock.now());
    assert.equal(await stage.ask('b.example'), 60);
    await stage.clock.advance(1);
    assert.deepEqual([await stage.ask('a.example'), await stage.ask('b.example')], [300, null]);
    await stage.clock.advance(240_000);
    assert.equal(await stage.count(), 0);
  });

  test('goes by what it heard last', async () => {
    const stage = new Stage();
    await stage.learn('a.example', address(1, 300));
    await stage.learn('a.example', address(2, 20));
    assert.equal(await stage.ask('a.example'), 20);
    await stage.clock.advance(20_000);
    assert.equal(await stage.count(), 0);
    await stage.learn('a.example', address(2, 20));
    await stage.learn('a.example', address(1, 300));
    await stage.clock.advance(200_000);
    assert.equal(await stage.ask('a.example'), 300);
  });

  test('forgets what nobody asked for longest when there are too many', async () => {
    const stage = new Stage();
    for (let i = 0; i < MOST_KEPT; i += 1) await stage.learn(`${i}.example`, address(1, 300));
    assert.equal(await stage.ask('0.example'), 300);
    await stage.learn('one.more.example', address(1, 300));
    assert.equal(await stage.ask('1.example'), null);
    assert.deepEqual([await stage.ask('0.example'), await stage.ask('2.example')], [300, 300]);
    assert.equal(await stage.count(), MOST_KEPT);
    await stage.clock.advance(300_000);
    assert.equal(await stage.count(), 0);
  });

  test('does not keep more bytes than it may', async () => {
    const stage = new Stage();
    const long = Array.from({ length: 240 }, () => text(255, 300));
    const size = build({ name: '000.example', answers: long }).length;
    const most = Math.floor(MOST_KEPT_BYTES / size);
    for (let i = 0; i < most + 10; i += 1) await stage.learn(`${100 + i}.example`, ...long);
    assert.equal(await stage.count(), most);
    assert.equal(await stage.ask('109.example', 16), null);
    assert.equal(await stage.ask('110.example', 16), 300);
  });
});

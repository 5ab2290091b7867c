import assert from 'node:assert/strict';
import { matchDemand } from '../../src/dataspace/demand.ts';
import type { DemandHandle, DemandOptions } from '../../src/dataspace/demand.ts';
import type { EndpointHandle } from '../../src/dataspace/endpoint.ts';
import { _, capture } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { RecordMaker } from '../../src/dataspace/record.ts';
import type { EndReason } from '../../src/dataspace/reasons.ts';
import type { OutsideSource, Self } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Capture, RecordPattern, Topic, Wildcard } from '../../src/dataspace/topic-types.ts';
import { publishersOf } from '../../src/dataspace/watch.ts';
import type { Watch } from '../../src/dataspace/watch.ts';
import { Scope } from '../../src/sync/scope.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';

interface Wants {
  readonly what: string;
  readonly detail: string;
}
interface Has {
  readonly what: string;
}

export const wants: RecordMaker<'wants', readonly ['what', 'detail'], Wants> = record('wants', ['what', 'detail']).of();
export const has: RecordMaker<'has', readonly ['what'], Has> = record('has', ['what']).of();
export const demand: Watch<RecordPattern<'wants', Wants, { what: Capture<'what'>; detail: Wildcard }>> = publishersOf(
  wants(capture('what'), _),
);
export const supply: Watch = publishersOf(has(capture('what')));

export type Settings = Partial<DemandOptions<typeof demand>>;

/** A space with a matcher in it whose tasks are played by the test, and one actor that does as it is told. */
export class Bench {
  readonly clock: VirtualClock = new VirtualClock();
  readonly log: string[] = [];
  readonly tasks: { readonly self: Self; readonly source: OutsideSource; readonly what: string }[] = [];
  readonly space: Dataspace;
  #hand!: { self: Self; source: OutsideSource };
  #matcherSource!: OutsideSource;
  matcher!: DemandHandle;
  matcherSelf!: Self;

  constructor() {
    const scope = new Scope({ parent: null, clock: this.clock });
    this.space = scope.run(() => new Dataspace());
  }

  async open(settings: Settings = {}): Promise<this> {
    void this.space.run();
    this.space.spawn((self) => {
      this.#hand = { self, source: self.outside() };
    });
    await this.match(settings);
    return this;
  }

  async match(settings: Settings = {}): Promise<void> {
    this.space.spawn((self) => {
      this.matcherSelf = self;
      this.matcher = matchDemand(self, {
        demand,
        supply,
        start: (task, { bindings }) => {
          const { what } = bindings;
          this.log.push(`start ${what}`);
          this.tasks.push({ self: task, source: task.outside(), what });
          task.onEnd((reason) => this.log.push(`end ${what}: ${why(reason)}`));
        },
        ...settings,
      });
      this.#matcherSource = self.outside();
    });
    await this.clock.settle();
  }

  /** Does something in one turn of the actor. */
  async by<T>(fn: (self: Self) => T): Promise<T> {
    let given: T | undefined;
    this.#hand.source.enter(() => {
      given = fn(this.#hand.self);
    });
    await this.clock.settle();
    return given as T;
  }

  want(what: string, detail = ''): Promise<EndpointHandle> {
    return this.by((self) => self.publish(wants(what, detail)));
  }

  drop(...handles: EndpointHandle[]): Promise<unknown> {
    return this.by(() => handles.forEach((handle) => handle.withdraw()));
  }

  /** Does something in one turn of the matcher's actor. */
  async atMatcher(fn: () => void): Promise<void> {
    this.#matcherSource.enter(fn);
    await this.clock.settle();
  }

  /** Does something in one turn of the latest task. */
  async task<T>(fn: (self: Self) => T): Promise<T> {
    const task = this.tasks.at(-1);
    assert.ok(task !== undefined);
    let given: T | undefined;
    assert.ok(
      task.source.enter(() => {
        given = fn(task.self);
      }),
    );
    await this.clock.settle();
    return given as T;
  }

  supply(): Promise<EndpointHandle> {
    const what = this.tasks.at(-1)?.what ?? '';
    return this.task((self) => self.publish(has(what)));
  }

  /** What was written since the last look. */
  news(): string[] {
    return this.log.splice(0);
  }

  states(): string[] {
    return this.matcher.report().map(({ bindings, state }) => `${plain(bindings['what'])} ${state}`);
  }
}

function plain(value: Topic | undefined): string {
  return typeof value === 'string' ? value : 'for no reason';
}

export function why(reason: EndReason): string {
  if (reason.kind === 'quit') return `quit ${plain(reason.detail)}`;
  return reason.kind === 'failed' ? reason.error.message : reason.kind;
}

export const fails = (): never => {
  throw new Error('broken');
};

import { test } from 'node:test';
import { expectTypeOf } from 'expect-type';
import {
  after,
  always,
  choose,
  fromEmitter,
  fromIterable,
  guard,
  makeEvt,
  map,
  never,
  none,
  select,
  sync,
  toEvt,
} from '../../src/sync/evt.ts';
import type { Evt, EvtSource, Source } from '../../src/sync/evt.ts';
import type { Permit, Semaphore } from '../../src/sync/semaphore.ts';

declare const numbers: Evt<number>;
declare const promise: Promise<string>;
declare const signal: AbortSignal;

// Only checked, never run.
function typed<T>(generic: Evt<T>, semaphore: Semaphore, emitter: NodeJS.EventEmitter): void {
  expectTypeOf(select(numbers, promise)).toEqualTypeOf<Promise<number | string>>();
  expectTypeOf(select(numbers, semaphore, after(1))).toEqualTypeOf<Promise<number | Permit | void>>();
  expectTypeOf(
    select(
      map(signal, () => 'stopped' as const),
      numbers,
    ),
  ).toEqualTypeOf<Promise<'stopped' | number>>();
  expectTypeOf(select(signal)).toEqualTypeOf<Promise<unknown>>();
  expectTypeOf(choose(numbers, choose(never(), always('x')))).toEqualTypeOf<Evt<number | string>>();
  expectTypeOf(sync(promise)).toEqualTypeOf<Promise<string>>();
  expectTypeOf(sync(semaphore)).toEqualTypeOf<Promise<Permit>>();
  expectTypeOf(sync(signal)).toEqualTypeOf<Promise<unknown>>();
  expectTypeOf(sync(generic)).toEqualTypeOf<Promise<T>>();
  expectTypeOf(map(generic, (value) => [value])).toEqualTypeOf<Evt<T[]>>();
  expectTypeOf(map(promise, (text) => text.length)).toEqualTypeOf<Evt<number>>();
  expectTypeOf(map(semaphore, (permit) => permit.released)).toEqualTypeOf<Evt<boolean>>();
  expectTypeOf(guard(() => promise)).toEqualTypeOf<Evt<string>>();
  expectTypeOf(toEvt(promise)).toEqualTypeOf<Evt<string>>();
  expectTypeOf(toEvt(signal)).toEqualTypeOf<Evt<unknown>>();
  expectTypeOf(makeEvt({ take: () => (signal.aborted ? 1 : none), watch: () => () => {} })).toEqualTypeOf<Evt<1>>();
  expectTypeOf(fromEmitter<[Buffer]>(emitter, 'data')).toEqualTypeOf<Source<[Buffer]>>();
  expectTypeOf(fromIterable(process.stdin as AsyncIterable<string>)).toEqualTypeOf<Source<string>>();
  expectTypeOf<Evt<1>>().toExtend<Evt<number>>();
  expectTypeOf<AbortSignal>().not.toExtend<EvtSource<number>>();
  // @ts-expect-error -- a number can't be waited for
  void select(1);
  // @ts-expect-error -- an emitter has to be made a source first
  void sync(emitter);
}

test('the types of values flow through choices, mappings and conversions', () => {
  expectTypeOf(typed).toBeFunction();
});

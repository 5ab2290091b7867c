/** Events that can be waited for together: the front door of this folder's events. */
export { after, always, at, choose, guard, map, never } from './combinators.ts';
export { toEvt } from './convert.ts';
export type { EvtSource, EvtValue } from './convert.ts';
export { evtOf, isEvt, makeEvt, none } from './evt-core.ts';
export type { Evt, EvtParts, Synchronizable } from './evt-core.ts';
export { fromEmitter, fromIterable } from './source.ts';
export type { EmitterLike, EmitterOptions, IterableOptions, Overflow, Source } from './source.ts';
export { select, sync } from './synchronize.ts';
export type { SyncOptions } from './synchronize.ts';
export { Watchers } from './watchers.ts';

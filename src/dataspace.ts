/** Actors that meet by topic and presence. */
export { _, capture, isHole } from './dataspace/hole.ts';
export { isRecord, labelOf, record } from './dataspace/record.ts';
export type { RecordMaker, RecordOf } from './dataspace/record.ts';
export type {
  AnyHole,
  AnyRecord,
  BindingsOf,
  Capture,
  Datum,
  ElementAt,
  ElementOf,
  FieldTypes,
  Filling,
  GivenFields,
  HolesAt,
  HolesIn,
  MakerArguments,
  Met,
  MetList,
  Named,
  PatternList,
  PatternOf,
  RecordPattern,
  Scalar,
  Taken,
  Topic,
  TopicOf,
  TopicRecord,
  Undeclared,
  Wildcard,
} from './dataspace/topic-types.ts';
export { intersect } from './dataspace/unify.ts';
export { formatTopic } from './dataspace/format-topic.ts';
export type { FormatTopicOptions } from './dataspace/format-topic.ts';
export type { Clock, TimerHandle } from './sync/clock.ts';

export { Dataspace } from './dataspace/space.ts';
export type { DataspaceOptions, OutsideToken, SpaceSummary } from './dataspace/space.ts';
export type { ActorEnd } from './dataspace/kernel-settings.ts';
export type { EndReason, PlainError } from './dataspace/reasons.ts';
export type { Boot, LinkOptions, OutsideSource, Self, SpawnOptions } from './dataspace/self.ts';
export type { OuterSpace } from './dataspace/outer.ts';
export type {
  AbsenceEvent,
  ActorId,
  EndpointHandle,
  EndpointId,
  EndpointOptions,
  Handlers,
  Interest,
  MessageEvent,
  Orientation,
  PresenceEvent,
} from './dataspace/endpoint.ts';
export type { ActorReport, EndpointReport, MatchReport, SpaceReport } from './dataspace/inspect.ts';

export { matchDemand } from './dataspace/demand.ts';
export type { DemandHandle, DemandOptions, DemandReport, DemandTask, WatchedTopic } from './dataspace/demand.ts';
export type { DemandRestart, DemandState } from './dataspace/demanded.ts';
export { publishersOf, subscribersOf } from './dataspace/watch.ts';
export type { Watch, Who } from './dataspace/watch.ts';

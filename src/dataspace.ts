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

export { tcpDriver } from './dataspace/drivers/tcp-driver.ts';
export type {
  TcpConnectSettings,
  TcpDriverOptions,
  TcpListenSettings,
  TcpTlsSettings,
} from './dataspace/drivers/tcp-driver.ts';
export { tcpAddress, tcpHandle, tcpListener } from './dataspace/drivers/tcp-places.ts';
export type {
  TcpHandle,
  TcpHandleFields,
  TcpHandleMaker,
  TcpHandleOptions,
  TcpListener,
  TcpListenerFields,
  TcpListenerMaker,
  TcpListenerOptions,
  TcpPeer,
} from './dataspace/drivers/tcp-places.ts';
export { tcpBound, tcpChannel, tcpCredit, tcpEnd, tcpFailed, tcpMode } from './dataspace/drivers/tcp-channel.ts';
export type {
  TcpChannel,
  TcpChannelMaker,
  TcpCredit,
  TcpEnd,
  TcpHandlePattern,
  TcpInbound,
  TcpInput,
  TcpListenerPattern,
  TcpLocal,
  TcpLocalOf,
  TcpMode,
  TcpOutbound,
  TcpOutput,
  TcpPeerPattern,
} from './dataspace/drivers/tcp-channel.ts';

export { udpDriver } from './dataspace/drivers/udp-driver.ts';
export type { UdpDriverOptions, UdpSocketOptions } from './dataspace/drivers/udp-driver.ts';
export { udpAddress, udpBound, udpFailed, udpHandle, udpListener, udpPacket } from './dataspace/drivers/udp-topics.ts';
export type {
  UdpHandle,
  UdpHandlePattern,
  UdpInbound,
  UdpListener,
  UdpListenerFields,
  UdpListenerMaker,
  UdpListenerOptions,
  UdpListenerPattern,
  UdpLocal,
  UdpLocalOf,
  UdpOutbound,
  UdpPacket,
  UdpPacketMaker,
  UdpPeer,
  UdpPeerPattern,
} from './dataspace/drivers/udp-topics.ts';

export { timerDriver } from './dataspace/drivers/timer-driver.ts';
export type { TimerDriverOptions } from './dataspace/drivers/timer-driver.ts';
export { timerRelay } from './dataspace/drivers/timer-relay.ts';
export { cancelTimer, setTimer, timerExpired, timerRefused } from './dataspace/drivers/timer-topics.ts';
export type { SetTimer, TimerExpired } from './dataspace/drivers/timer-topics.ts';

export { eventDriver } from './dataspace/drivers/event-driver.ts';
export type {
  EmittedEvents,
  EventSource,
  MappedEvents,
  PulledEvents,
  Unmarked,
} from './dataspace/drivers/event-sources.ts';
export { eventRelay } from './dataspace/drivers/event-relay.ts';
export { sourceEvent, sourceFailed } from './dataspace/drivers/event-topics.ts';
export type { SourceEvent, SourceFailed } from './dataspace/drivers/event-topics.ts';

export { spy } from './dataspace/drivers/spy.ts';
export type { SpyOptions, SpySink } from './dataspace/drivers/spy.ts';
export { tcpSpy } from './dataspace/drivers/tcp-spy.ts';
export type { TcpSpyOptions } from './dataspace/drivers/tcp-spy.ts';
export { formatSpace } from './dataspace/format-space.ts';
export type { FormatSpaceOptions } from './dataspace/format-space.ts';
export { formatReason } from './dataspace/format-reason.ts';

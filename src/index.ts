/** The public names of Portside. */
export { ClosedError, PortsideError, isPortsideError } from './base/errors.ts';
export type { ErrorCode, ErrorDetail } from './base/errors.ts';
export { codes } from './base/codes.ts';
export type { PortsideCode } from './base/codes.ts';
export { OptionsError } from './base/options.ts';
export type { Problem } from './base/options.ts';

export {
  Watchers,
  after,
  always,
  at,
  choose,
  evtOf,
  fromEmitter,
  fromIterable,
  guard,
  isEvt,
  makeEvt,
  map,
  never,
  none,
  select,
  sync,
  toEvt,
} from './sync/evt.ts';
export type {
  EmitterLike,
  EmitterOptions,
  Evt,
  EvtParts,
  EvtSource,
  EvtValue,
  IterableOptions,
  Overflow,
  Source,
  SyncOptions,
  Synchronizable,
} from './sync/evt.ts';
export { systemClock } from './sync/clock.ts';
export type { Clock, TimerHandle } from './sync/clock.ts';
export { VirtualClock } from './sync/virtual-clock.ts';
export type { RunOptions, VirtualClockOptions } from './sync/virtual-clock.ts';
export { seededRandom, systemRandom } from './sync/random.ts';
export type { Random } from './sync/random.ts';
export { Scope, currentClock, currentRandom, currentScope } from './sync/scope.ts';
export type {
  Guard,
  GuardRequest,
  OpenResource,
  Owned,
  ScopeFailure,
  ScopeOptions,
  ScopeReport,
} from './sync/scope.ts';
export { Deadline } from './sync/deadline.ts';
export { Semaphore } from './sync/semaphore.ts';
export type { AcquireOptions, Permit, SemaphoreOptions } from './sync/semaphore.ts';

export { ByteQueue } from './codec/byte-queue.ts';
export { more } from './codec/codec.ts';
export type { Codec, Decoder } from './codec/codec.ts';
export { decodeAll, decodeEach } from './codec/decode-all.ts';
export { delimiter } from './codec/delimiter.ts';
export type { DelimiterOptions } from './codec/delimiter.ts';
export { fixed } from './codec/fixed.ts';
export { FrameDecoder, frameInvalid, frameTooLong } from './codec/frame-decoder.ts';
export { jsonLines } from './codec/json-lines.ts';
export type { JsonLinesOptions } from './codec/json-lines.ts';
export { lengthPrefix } from './codec/length-prefix.ts';
export type { LengthPrefixOptions } from './codec/length-prefix.ts';
export { lines } from './codec/lines.ts';
export type { LinesOptions } from './codec/lines.ts';
export { ProxyHeaderDecoder, encodeProxyHeader } from './codec/proxy-header.ts';
export { proxyTlvs } from './codec/proxy-header.ts';
export type {
  ProxyAddress,
  ProxyEncodeOptions,
  ProxyExtensions,
  ProxyExtensionsInit,
  ProxyHeader,
  ProxyHeaderInit,
  ProxyHeaderOptions,
  ProxySsl,
  ProxySslInit,
  ProxyTlv,
} from './codec/proxy-header.ts';
export type {
  SchemaInput,
  SchemaIssue,
  SchemaOutput,
  SchemaResult,
  SchemaTypes,
  StandardSchemaProps,
  StandardSchemaV1,
} from './codec/standard-schema.ts';

export { formatAddress } from './transport/address.ts';
export type { Address, MemoryAddress, TcpAddress, UnixAddress } from './transport/address.ts';
export type {
  Acceptor,
  AcceptorWatcher,
  BindOptions,
  BindTarget,
  Channel,
  ChannelEnd,
  Dial,
  DialTarget,
  Released,
  Sink,
  SocketOption,
  Transport,
  TransportFlags,
  Tuning,
} from './transport/contract.ts';
export type { TcpInfo, TcpState } from './transport/tcp-info.ts';
export type { Parcel, Passage, PassageTicket, Passages, Untaken } from './transport/passage.ts';
export { CertificateError } from './transport/tls/certificate-error.ts';
export type { TlsCertificate } from './transport/tls/certificate.ts';
export { TlsServerContext } from './transport/tls/context.ts';
export type { TlsServerContextSettings } from './transport/tls/context.ts';
export type { TlsClientOptions } from './transport/tls/client.ts';
export type { TlsInfo } from './transport/tls/info.ts';
export type { PemSource } from './transport/tls/pem.ts';
export type { TlsPair, TlsServerOptions, TlsVersion } from './transport/tls/server-options.ts';
export { memoryNetwork } from './transport/memory/memory-network.ts';
export type { Faults, MemoryNetwork, MemoryNetworkOptions, Side } from './transport/memory/memory-network.ts';

export { connect } from './net/connect.ts';
export type { ConnectOptions } from './net/connect.ts';
export { Connection, isConnection } from './net/connection.ts';
export type { HandedOver } from './net/hand-over.ts';
export type { CloseReason, Refused } from './net/close-reason.ts';
export { formatEndpoint, parseEndpoint } from './net/endpoint.ts';
export type { Endpoint, EndpointLike, EndpointRole } from './net/endpoint.ts';
export { Group } from './net/group.ts';
export type { GroupOptions } from './net/group.ts';
export type { ReadOptions } from './net/input.ts';
export { listen } from './net/listen.ts';
export type { ListenOptions } from './net/listen.ts';
export { Listener, isListener } from './net/listener.ts';
export { pipe } from './net/pipe.ts';
export type { PipeResult } from './net/pipe.ts';
export { reconnecting } from './net/reconnecting.ts';
export type { Backoff, ReconnectOptions } from './net/reconnecting.ts';
export type { ConnectionOptions } from './net/settings.ts';
export type { TransportChoice } from './net/transports.ts';
export { UdpSocket, bindUdp, isUdpSocket } from './net/udp.ts';
export type { Datagram, MulticastOptions, UdpAddress, UdpAddressLike, UdpOptions } from './net/udp.ts';
export type { WebStreams } from './net/adapters.ts';
export type { ConnectionStream, SocketAddressInfo } from './net/node-stream.ts';

export { AddressList } from './net/address-list.ts';
export type { DeadlineName, DeadlineOptions, Deadlines } from './net/deadlines.ts';
export type { ProxyOptions } from './net/proxy-in.ts';
export type { ProxyOutOptions } from './net/proxy-out.ts';
export type { UpgradeTlsOptions } from './net/upgrade-tls.ts';
export { autoTransport } from './net/transports.ts';
export type { AutoTransport } from './net/transports.ts';

export { current, currentInput, currentOutput, print } from './server/ambient.ts';
export type { AmbientInput, AmbientOutput } from './server/ambient.ts';
export { Context } from './server/context.ts';
export { defineHandler, isHandler } from './server/define-handler.ts';
export { detach } from './server/detach.ts';
export type { DrainTimes, Ending, Ledger, LedgerEntry } from './server/drain.ts';
export type { ClientPrefixes } from './server/client-key.ts';
export type { EndByHand } from './server/end-by-hand.ts';
export type { ServerLimits } from './server/limits.ts';
export type { FrameStream } from './server/frame-stream.ts';
export type {
  Callbacks,
  FramedFunction,
  FramedProtocol,
  Handler,
  HandlerFunction,
  Protocol,
} from './server/handler.ts';
export type {
  AdmissionOptions,
  DrainOptions,
  EndOptions,
  EndpointOptions,
  Given,
  ServerChanges,
  ServerOptions,
} from './server/options.ts';
export type { HistogramStatus } from './server/histogram.ts';
export type { LoopDelays } from './server/loop-delay.ts';
export type { LeastLevel, LogLevel, LogMethod, Logger } from './server/logger.ts';
export type { ServerMeasures } from './server/measures.ts';
export { LocalPermits } from './server/permits.ts';
export type { PermitLimits, PermitStore } from './server/permits.ts';
export { RateLimiter } from './server/rate.ts';
export type { RateOptions } from './server/rate.ts';
export type { Goodbye, Refusal, RefusalKind, RefuseWith, RefusedWith } from './server/refusal.ts';
export { Server, createServer, serve } from './server/server.ts';
export type { ServerEvents, ServerState } from './server/events.ts';
export type { ServerRunOptions } from './server/signals.ts';
export { ThunkServer, serveThunk } from './server/thunk.ts';
export type { ThunkOptions } from './server/thunk.ts';
export { formatStatus } from './server/status.ts';
export type { ConnectionStatus, EndingStatus, ServerStatus } from './server/status.ts';
export type { WhenFull, WhenFullRetries } from './server/when-full.ts';

export { broadcast, channel } from './parallel/channel.ts';
export { defineConfig } from './parallel/config.ts';
export type { AdminConfig, Config, LogConfig, WorkersConfig } from './parallel/config.ts';
export type { MemberEvent, Peer, WorkerChannel } from './parallel/worker-channel.ts';
export type { Dispatch, DispatchFunction, DispatchPeer, WorkerLoad } from './parallel/dispatch.ts';
export type { ParallelLedger, ParallelLedgerEntry } from './parallel/ledger.ts';
export type { HowWorkers, OnWorkerDeath, ParallelOptions, WorkerOptions } from './parallel/options.ts';
export { ParallelServer } from './parallel/parallel-server.ts';
export { startParallel } from './parallel/start-parallel.ts';
export type { ParallelServerEvents, Reloaded } from './parallel/parallel-events.ts';
export { receiveConnections, thisWorker } from './parallel/receive-connections.ts';
export type { Received, WorkerPosition } from './parallel/receive-connections.ts';
export type { AskOptions, WorkerConnectionName } from './parallel/connections.ts';
export type { ParallelStatus, WorkerConnection, WorkerStatus } from './parallel/status.ts';
export type { RestartOptions } from './parallel/supervision.ts';
export { WorkerError } from './parallel/worker-error.ts';
export type { WorkerEvent } from './parallel/crew.ts';
export type { WorkerState } from './parallel/crew-worker.ts';
export type { WorkerLedgerEntry } from './parallel/protocol.ts';

/** Operating a server: seeing what it does, and acting on it. */
export { Admin, startAdmin } from './ops/admin.ts';
export type { AdminOptions } from './ops/admin.ts';
export type { PageSource } from './ops/admin-page.ts';
export type { AuditEntry } from './ops/audit.ts';
export { openLog } from './ops/log.ts';
export type { LogOptions } from './ops/log.ts';
export { metricsOf } from './ops/metrics.ts';
export type { Metrics } from './ops/metrics.ts';
export { openTelemetryMetrics } from './ops/metrics-otel.ts';
export type {
  InstrumentOptions,
  MeterLike,
  ObservableBatch,
  ObservableInstrument,
  OpenTelemetryMetrics,
  OpenTelemetryOptions,
} from './ops/metrics-otel.ts';
export { statusPage } from './ops/page.ts';
export { subjectOf } from './ops/subject.ts';
export type {
  ConnectionName,
  Subject,
  SubjectConnection,
  SubjectEvent,
  SubjectStatus,
  Upgraded,
} from './ops/subject.ts';

import { record } from '../record.ts';
import type { RecordMaker, RecordOf } from '../record.ts';
import type { Datum } from '../topic-types.ts';

/**
 * What comes from a source outside, by the name under which the driver was given it. Its publisher is there while the
 * source may still bring something.
 */
export const sourceEvent: RecordMaker<'source-event', readonly ['source', 'value'], { source: string; value: Datum }> =
  record('source-event', ['source', 'value']).of();

/** What {@link sourceEvent} makes. */
export type SourceEvent = RecordOf<typeof sourceEvent>;

/** Published while somebody wants what comes from a source that there is not, or that failed. */
export const sourceFailed: RecordMaker<
  'source-failed',
  readonly ['source', 'code', 'message'],
  { source: string; code: string; message: string }
> = record('source-failed', ['source', 'code', 'message']).of();

/** What {@link sourceFailed} makes. */
export type SourceFailed = RecordOf<typeof sourceFailed>;

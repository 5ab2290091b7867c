import { record } from '../record.ts';
import type { RecordMaker, RecordOf } from '../record.ts';
import type { Datum } from '../topic-types.ts';

/**
 * Asks for a timer: sent, and answered by {@link timerExpired}. `relative`: in so many milliseconds, whatever the wall
 * clock does. `absolute`: when the wall clock shows so many milliseconds since 1970. The same label may run several times.
 */
export const setTimer: RecordMaker<
  'set-timer',
  readonly ['label', 'ms', 'kind'],
  { label: Datum; ms: number; kind: 'relative' | 'absolute' }
> = record('set-timer', ['label', 'ms', 'kind']).of();

/** What {@link setTimer} makes. */
export type SetTimer = RecordOf<typeof setTimer>;

/** Takes back all timers of a label that have not expired. */
export const cancelTimer: RecordMaker<'cancel-timer', readonly ['label'], { label: Datum }> = record('cancel-timer', [
  'label',
]).of();

/** Sent when a timer expires; `at` is the wall clock's time, in milliseconds since 1970. */
export const timerExpired: RecordMaker<'timer-expired', readonly ['label', 'at'], { label: Datum; at: number }> =
  record('timer-expired', ['label', 'at']).of();

/** What {@link timerExpired} makes. */
export type TimerExpired = RecordOf<typeof timerExpired>;

/** Sent when a timer can't be had: there are too many, or what was asked for makes no sense. */
export const timerRefused: RecordMaker<
  'timer-refused',
  readonly ['label', 'message'],
  { label: Datum; message: string }
> = record('timer-refused', ['label', 'message']).of();

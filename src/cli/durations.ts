/** A time that was understood, or a sentence that says what it has to be. */
export type DurationResult =
  | {
      readonly ok: true;
      /** Milliseconds, whole; `Infinity` for `none`. */
      readonly ms: number;
    }
  | { readonly ok: false; readonly message: string };

/** What {@link parseDuration} takes. */
export interface DurationOptions {
  /** Whether `none` will do; it is `Infinity`. @default false */
  readonly none?: boolean | undefined;
  /** The shortest time that will do, in milliseconds. @default 0 */
  readonly min?: number | undefined;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** A year. What is longer is a slip of the keyboard, or `none`. */
const LONGEST = 8_760 * 3_600_000;
const FORM = /^(\d{1,12})(?:\.(\d{1,6}))?(ms|s|m|h)?$/u;

/**
 * Reads a time as it is given on a command line: `250`, `250ms`, `30s`, `1.5m`, `2h`, and `none` where that is allowed.
 * Plain digits are milliseconds. It has to come to whole milliseconds, and to a year (8760h) at most.
 */
export function parseDuration(text: string, { none = false, min = 0 }: DurationOptions = {}): DurationResult {
  if (none && text === 'none') return { ok: true, ms: Number.POSITIVE_INFINITY };
  const form = FORM.exec(text);
  if (form === null) return wrong(`It has to be ${wanted(none)}.${hint(text, none)}`);
  const [, whole = '', fraction = '', unit = 'ms'] = form;
  // In whole numbers, as 1.1 * 1000 is not 1100.
  const scaled = BigInt(whole + fraction) * BigInt(UNITS[unit] ?? 1);
  const scale = 10n ** BigInt(fraction.length);
  if (scaled % scale !== 0n) return wrong('It has to come to whole milliseconds.');
  const ms = Number(scaled / scale);
  if (ms > LONGEST) return wrong(`It has to be a year (8760h) at most${none ? '; none is no limit' : ''}.`);
  if (ms < min) return wrong(`It has to be ${formatDuration(min)} or more${none ? ', or none' : ''}.`);
  return { ok: true, ms };
}

/** A time as {@link parseDuration} reads it, in the largest unit that keeps it whole: `30s`, `1500ms`, `none`. */
export function formatDuration(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return 'none';
  for (const unit of ['h', 'm', 's']) {
    const size = UNITS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

function wanted(none: boolean): string {
  return `a time: milliseconds, or a number with ms, s, m or h, as in 30s${none ? '; or none' : ''}`;
}

/** What was probably meant. */
function hint(text: string, none: boolean): string {
  const meant = text.trim().replaceAll(/\s+/gu, '').toLowerCase();
  if (meant !== text && FORM.test(meant)) return ` Did you mean ${meant}?`;
  if (meant === 'none' || meant === 'infinity' || meant === 'off' || meant === 'never')
    return none ? ' Did you mean none?' : ' It can not be without a limit.';
  const worded = /^(\d+(?:\.\d+)?)(?:sec|secs|seconds?|mins?|minutes?|hrs?|hours?)$/u.exec(meant);
  if (worded === null) return '';
  const unit = /[a-z]/u.exec(meant)?.[0] ?? '';
  return ` Did you mean ${worded[1] ?? ''}${unit}?`;
}

function wrong(message: string): DurationResult {
  return { ok: false, message };
}

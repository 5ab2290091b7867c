const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const UNITS: readonly (readonly [string, number])[] = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

/** `12,345`; from ten million on `12.3 M`. */
export function countText(value: number): string {
  if (value < 10_000_000) return whole.format(value);
  if (value < 1e10) return `${threeDigits(value / 1e6)} M`;
  return `${threeDigits(value / 1e9)} G`;
}

/** A number in a second: `0`, `0.4`, `12.5`, `1,204`. */
export function rateText(value: number): string {
  if (value === 0) return '0';
  if (value < 100) return value < 0.05 ? '< 0.1' : value.toFixed(1);
  return countText(Math.round(value));
}

/** `812 B`, `1.20 kB`, `34.5 MB`; in thousands, as rates are. */
export function bytesText(value: number): string {
  let rest = value;
  for (const unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
    if (rest < 999.5 || unit === 'TB') return `${unit === 'B' ? whole.format(rest) : threeDigits(rest)} ${unit}`;
    rest /= 1_000;
  }
  return '';
}

/** `0.31 ms`, `12.5 ms`, `1.20 s` */
export function delayText(ms: number): string {
  return ms < 999.5 ? `${threeDigits(ms)} ms` : `${threeDigits(ms / 1_000)} s`;
}

/** `43 %` of 1. */
export function shareText(share: number): string {
  return `${share > 0 && share < 0.0095 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`;
}

/** How long something is: `8 s`, `3 m 8 s`, `2 h 5 m`, `3 d 4 h`. */
export function spanText(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A time as the command line has it: `30s`, `1500ms`; null is `none`. */
export function timeText(ms: number | null): string {
  if (ms === null) return 'none';
  if (ms === 0) return '0s';
  const [unit, size] = UNITS.find(([, each]) => ms % each === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}

/** Reads a time as the command line does: `250`, `250ms`, `30s`, `1.5m`, `2h`; undefined when it is none. */
export function readTime(text: string): number | undefined {
  const [, number, unit = 'ms'] = /^(\d{1,12}(?:\.\d{1,6})?)\s*(ms|s|m|h)?$/u.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  return Math.round(Number(number) * (UNITS.find(([name]) => name === unit)?.[1] ?? 1));
}

/** Reads a size: `512`, `64k`, `1.5M`; undefined when it is none. */
export function readSize(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d{1,12}(?:\.\d{1,6})?)\s*([kmg]?)b?$/iu.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  return Math.round(Number(number) * 1_024 ** ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase()));
}

/** `14:03:27` */
export function clockText(at: number, seconds = true): string {
  const date = new Date(at);
  const parts = [date.getHours(), date.getMinutes(), ...(seconds ? [date.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

/** `3 connections`, `1 connection` */
export function many(number: number, what: string): string {
  return `${countText(number)} ${what}${number === 1 ? '' : 's'}`;
}

function threeDigits(value: number): string {
  if (value === 0) return '0';
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : whole.format(value);
}

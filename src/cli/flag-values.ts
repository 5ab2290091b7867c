import { InvalidArgumentError } from 'commander';
import { orOf } from '../base/rules.ts';
import type { RateOptions } from '../server/rate.ts';
import type { WhenFull } from '../server/when-full.ts';
import { parseDuration } from './durations.ts';
import type { DurationOptions } from './durations.ts';

/** A whole number from 1 on. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw new InvalidArgumentError('It has to be a whole number from 1 on.');
  return Number(text);
}

/** A whole number from 1 on, or `cores`. */
export function countOrCores(text: string): number | 'cores' {
  if (text === 'cores') return text;
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw new InvalidArgumentError('It has to be a whole number from 1 on, or cores.');
  return Number(text);
}

/** A whole number from 1 on, or `none`, which is `Infinity`. */
export function countOrNone(text: string): number {
  if (text === 'none') return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw new InvalidArgumentError('It has to be a whole number from 1 on, or none.');
  return Number(text);
}

/** Permissions, as in `660`. */
export function octal(text: string): number {
  if (!/^0?[0-7]{3}$/u.test(text)) throw new InvalidArgumentError('It has to be three octal digits, as in 660.');
  return Number.parseInt(text, 8);
}

/** A time in milliseconds: `30s`. */
export function duration(options: DurationOptions = {}): (text: string) => number {
  return (text) => {
    const result = parseDuration(text, options);
    if (!result.ok) throw new InvalidArgumentError(result.message);
    return result.ms;
  };
}

/** One of some words, each with the value that it stands for. */
export function word<T>(values: Readonly<Record<string, T>>): (text: string) => T {
  return (text) => {
    if (!Object.hasOwn(values, text)) throw new InvalidArgumentError(`It can be ${orOf(Object.keys(values))}.`);
    return values[text] as T;
  };
}

/** One of some words. */
export function oneOfWords<const W extends readonly string[]>(...words: W): (text: string) => W[number] {
  return word(Object.fromEntries(words.map((each) => [each, each])));
}

/** `20/1s`: so many in a time; `none` is null. */
export function rate(text: string): RateOptions | null {
  if (text === 'none') return null;
  const [, connections, time = ''] = /^([1-9]\d{0,8})\/(.+)$/u.exec(text) ?? [];
  if (connections === undefined)
    throw new InvalidArgumentError('It has to be a number and a time, as in 20/1s; or none.');
  const per = parseDuration(/^[a-z]/u.test(time) ? `1${time}` : time, { min: 1 });
  if (!per.ok) throw new InvalidArgumentError(`The time after the slash is wrong. ${per.message}`);
  return { connections: Number(connections), per: per.ms };
}

/** `wait`, `refuse`, or `10@500ms`: look again so many times, so far apart, and refuse then. */
export function whenFull(text: string): WhenFull {
  if (text === 'wait' || text === 'refuse') return text;
  const [, retries, time = ''] = /^(\d{1,9})@(.+)$/u.exec(text) ?? [];
  if (retries === undefined)
    throw new InvalidArgumentError(
      'It can be wait, refuse, or how often and how far apart to look again, as in 10@500ms.',
    );
  const every = parseDuration(time);
  if (!every.ok) throw new InvalidArgumentError(`The time after the @ is wrong. ${every.message}`);
  return { retries: Number(retries), every: every.ms };
}

/** `NAME=VALUE` */
export function variable(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It has to be a name and its value, as in NAME=VALUE.');
  return [text.slice(0, at), text.slice(at + 1)];
}

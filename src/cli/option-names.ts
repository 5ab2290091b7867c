import type { Problem } from '../base/options.ts';
import { longName } from './flag.ts';
import type { FlagGroup, GivenFlags } from './flag.ts';
import type { Layer } from './merge-options.ts';

/** Where options came from, by which their problems are told. */
export interface Origins {
  /** All flags that there are. */
  readonly groups: readonly FlagGroup[];
  readonly given: GivenFlags;
  /** What the flags and the config file came to. */
  readonly merged: Layer;
  /** What the config file is called; null without one. */
  readonly config: string | null;
}

/** What is wrong with options, in the words of whoever gave them. */
export interface ToldProblems {
  readonly text: string;
  /** Whether something on the command line is wrong, and not only in the config file. */
  readonly usage: boolean;
}

/** Says problems of options by the names of the flags that gave them, `--grace must be …`, or of the config file: `portside.config.ts: grace must be …`. */
export function tellProblems(problems: readonly Problem[], origins: Origins): ToldProblems {
  const byFlag: string[] = [];
  const byConfig: string[] = [];
  for (const { path, message } of problems) {
    const option = bare(path);
    const flag = flagFor(option, origins);
    if (flag === null) byConfig.push(`${option} ${message}`);
    else byFlag.push(`${flag} ${message}`);
  }
  if (byConfig.length > 0 && origins.config !== null) byConfig[0] = `${origins.config}: ${byConfig[0] ?? ''}`;
  return { text: [...byFlag, ...byConfig].join('; '), usage: byFlag.length > 0 };
}

/** `options.tls.cert` without the first word. */
function bare(path: Problem['path']): string {
  return path.replace(/^options\.?/u, '');
}

/** The flag that a problem is told by; null when it is the config file's. */
function flagFor(option: string, { groups, given, merged }: Origins): string | null {
  for (const [name, { flag }] of given) if (isWithin(option, name)) return flag;
  if (gives(merged, option)) return null;
  // What is missing beside what a flag gives: the key of --tls-cert.
  const [group = ''] = option.split('.');
  const begun = [...given.keys()].some((name) => isWithin(name, group));
  if (!begun) return null;
  const flag = groups.flatMap(({ flags }) => flags).find((each) => each.option === option);
  return flag === undefined ? null : longName(flag);
}

function isWithin(option: string, name: string): boolean {
  return option === name || option.startsWith(`${name}.`) || option.startsWith(`${name}[`);
}

/** Whether options have one of this dotted name. */
function gives(options: Layer, option: string): boolean {
  let place: unknown = options;
  for (const name of option.split(/[.[]/u)) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, name)) return false;
    place = (place as Layer)[name];
  }
  return place !== undefined;
}

import { Option } from 'commander';
import type { Command } from 'commander';

/** An option of the server as the command line has it. */
export interface ServerFlag {
  /** As commander writes them: `-p, --port <port>`. */
  readonly flags: string;
  /** What the help says. */
  readonly what: string;
  /** The dotted name of the one option of `ServerOptions` that it gives: `deadlines.idle`. Null for what the command sees to itself. */
  readonly option: string | null;
  /** Makes the option's value of a text; throws an InvalidArgumentError. Without it the text is the value. */
  readonly read?: ((text: string) => unknown) | undefined;
  /** The value is a list: the flag may be given several times, and with `commas` each may have several items. */
  readonly list?: 'times' | 'commas' | undefined;
  /** The environment variable that stands in for it. */
  readonly env?: string | undefined;
  /** The flags that can't be given beside it, as commander names their values. */
  readonly conflicts?: readonly string[] | undefined;
}

/** Flags under one heading of the help. */
export interface FlagGroup {
  readonly heading: string;
  readonly flags: readonly ServerFlag[];
}

/** Adds flags to a command, group by group. */
export function addFlags(command: Command, groups: readonly FlagGroup[]): void {
  for (const { heading, flags } of groups) {
    for (const flag of flags) command.addOption(optionOf(flag).helpGroup(heading));
  }
}

/** Stands for null, which commander would take for a flag without a value. */
const NULL = Symbol('null');

function optionOf({ flags, what, read, list, env, conflicts = [] }: ServerFlag): Option {
  const option = new Option(flags, what).conflicts([...conflicts]);
  if (env !== undefined) option.env(env);
  const one = read ?? ((text: string): unknown => text);
  if (list === undefined) return read === undefined ? option : option.argParser((text: string) => one(text) ?? NULL);
  return option.argParser((text: string, before: readonly unknown[] | undefined): readonly unknown[] => {
    const items = list === 'commas' ? text.split(',').map((item) => item.trim()) : [text];
    return [...(before ?? []), ...items.map(one)];
  });
}

/** Flags that were given, by the dotted names of the options that they give. */
export type GivenFlags = ReadonlyMap<string, { readonly flag: string; readonly value: unknown }>;

/** The flags among `groups` that a command line gives. */
export function givenFlags(command: Command, groups: readonly FlagGroup[]): GivenFlags {
  const values = command.opts<Record<string, unknown>>();
  const given = new Map<string, { readonly flag: string; readonly value: unknown }>();
  for (const flag of groups.flatMap(({ flags }) => flags)) {
    if (flag.option === null) continue;
    const value = values[new Option(flag.flags).attributeName()];
    if (value !== undefined) given.set(flag.option, { flag: longName(flag), value: value === NULL ? null : value });
  }
  return given;
}

/** `--port` */
export function longName({ flags }: ServerFlag): string {
  return new Option(flags).long ?? flags;
}

/** Options within options, of values by their dotted names. */
export function layerOf(given: GivenFlags): Record<string, unknown> {
  const layer: Record<string, unknown> = {};
  for (const [path, { value }] of given) {
    const names = path.split('.');
    let place = layer;
    for (const name of names.slice(0, -1)) place = (place[name] ??= {}) as Record<string, unknown>;
    place[names.at(-1) ?? path] = value;
  }
  return layer;
}

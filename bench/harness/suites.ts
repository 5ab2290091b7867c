/** What can be measured, by name. */
import type { Role } from './contenders.ts';
import type { Options } from './options.ts';

export interface Suite {
  readonly name: string;
  /** The heading of its table. */
  readonly title: string;
  /** What it does, in a few words. */
  readonly about: string;
  readonly role: Role;
  readonly connections: number;
  /** Bytes of a message. */
  readonly size: number;
  /** Messages in flight on each connection. */
  readonly depth: number;
  /** The command of redis-benchmark. */
  readonly command?: 'set' | 'get' | undefined;
}

function sizeText(bytes: number): string {
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`;
}

function echo(name: string, size: number, connections: number, depth: number, about: string): Suite {
  const title = `echo ${sizeText(size)} × ${connections}${depth > 1 ? `, ${depth} deep` : ''}`;
  return { name, title, about, role: 'echo', connections, size, depth };
}

function other(role: Role, connections: number, about: string, size = 1): Suite {
  const title = role === 'broadcast' ? `broadcast of ${sizeText(size)} to ${connections}` : `${role} × ${connections}`;
  return { name: role, title, about, role, connections, size, depth: 1 };
}

function redis(command: 'set' | 'get', depth: number): Suite {
  const name = `redis-${command}${depth > 1 ? '-deep' : ''}`;
  const title = `redis ${command.toUpperCase()} × 50${depth > 1 ? `, ${depth} deep` : ''}`;
  const about = `redis-benchmark, ${command.toUpperCase()} of 64 bytes, ${depth} in flight`;
  return { name, title, about, role: 'redis', connections: 50, size: 64, depth, command };
}

/** Those that `all` runs. */
export const suites: readonly Suite[] = [
  echo('echo-64', 64, 64, 1, 'messages of 64 bytes back and forth on 64 connections'),
  echo('echo-64-deep', 64, 64, 16, 'the same with 16 in flight on each connection'),
  echo('echo-1k', 1_024, 64, 1, 'messages of 1 KiB'),
  echo('echo-64k', 65_536, 8, 1, 'messages of 64 KiB on 8 connections'),
  other('accept', 64, 'connect, one byte each way, close; 64 at a time'),
  other('dispatch', 64, 'as accept, on servers of two threads or processes'),
  other('broadcast', 1_000, 'what one of 1,000 connections says goes to all', 64),
  other('idle', 9_000, 'memory of connections that do nothing'),
  redis('set', 1),
  redis('set', 16),
  redis('get', 1),
  redis('get', 16),
];

/** Words that stand for suites. */
export const words: readonly string[] = ['all', 'echo', 'redis', ...suites.map(({ name }) => name)];

/** The suites that a word and the options stand for. */
export function suitesOf(word: string, options: Pick<Options, 'size' | 'connections' | 'depth'>): readonly Suite[] {
  const { size = 64, connections, depth = 1 } = options;
  if (word === 'all') return suites;
  if (word === 'redis') return suites.filter(({ role }) => role === 'redis');
  if (word === 'echo') return [echo('echo', size, connections ?? 64, depth, 'messages back and forth, as told')];
  const suite = suites.find(({ name }) => name === word);
  if (suite === undefined) return [];
  if (connections === undefined) return [suite];
  const title = suite.title.replace(String(suite.connections), String(connections));
  return [{ ...suite, title, connections }];
}

/** On what it was measured. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { runtimeVersions } from './contenders.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly gcc: string;
  /** Versions of what else was measured, by name. */
  readonly others: Readonly<Record<string, string>>;
  readonly commit: string;
  readonly date: string;
  /** Load average of the last minute when the run began: what else the cores were doing. */
  readonly loadAverage: number;
}

function say(command: string, ...parameters: string[]): string {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  try {
    return execFileSync(command, parameters, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

function commit(): string {
  const short = say('git', 'rev-parse', '--short', 'HEAD');
  if (!/^[0-9a-f]+$/u.test(short)) return 'none';
  const changed = say('git', '--no-optional-locks', 'status', '--porcelain') !== '';
  return changed ? `${short} with changes` : short;
}

export function machine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    gcc: /\d+\.\d+\.\d+/u.exec(say('gcc', '--version'))?.[0] ?? 'unknown',
    others: { ...runtimeVersions(), redis: /\bv=(\S+)/u.exec(say('redis-server', '--version'))?.[1] ?? 'none' },
    commit: commit(),
    date: `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    loadAverage: loadavg()[0] ?? 0,
  };
}

export function describeMachine(facts: Machine): string {
  return [
    `${facts.cpu}, ${facts.cores} core${facts.cores === 1 ? '' : 's'}, ${facts.memoryGiB} GiB`,
    [
      `${facts.kernel}, Node ${facts.node}, gcc ${facts.gcc}`,
      ...Object.entries(facts.others).map((one) => one.join(' ')),
    ].join(', '),
    `commit ${facts.commit}, ${facts.date}, load average ${facts.loadAverage.toFixed(2)} at the start`,
  ].join('; ');
}

/**
 * The cores for the server and for the load: the first and the last that this process may use, and no choice of
 * ours where there is only one.
 */
export function chooseCores(): { readonly server: number | undefined; readonly load: number | undefined } {
  const none = { server: undefined, load: undefined };
  if (process.platform !== 'linux' || say('taskset', '--version') === '') return none;
  const list = /^Cpus_allowed_list:\s*(.+)$/mu.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  const ends = list.split(/[,-]/u).map(Number);
  const first = ends[0];
  const last = ends.at(-1);
  if (first === undefined || last === undefined || first === last) return none;
  return { server: first, load: last };
}

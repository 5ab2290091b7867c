import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { howMuch } from '../admin/tables.ts';
import { known } from './finding.ts';
import type { Finding } from './finding.ts';
import { textOf } from './system-files.ts';

/** What the control groups of this process allow; null: no limit, or none that can be read. */
export interface GroupLimits {
  /** Whether there are control groups to be read at all. */
  readonly read: boolean;
  /** Processors at a time, as 1.5. */
  readonly cpu: number | null;
  /** Bytes. */
  readonly memory: number | null;
}

/** A number from 2^53 on is how version 1 says that there is no limit. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** The limits of the control group that the process is in, and of those around it. See cgroups(7). */
export function groupLimits(read: (path: string) => string | null = textOf): GroupLimits {
  const own = read('/proc/self/cgroup');
  const mounts = read('/proc/self/mountinfo');
  if (own === null || mounts === null) return { read: false, cpu: null, memory: null };
  let cpu: number | null = null;
  let memory: number | null = null;
  let any = false;
  for (const folder of foldersOf(own, mounts)) {
    const max = read(join(folder, 'cpu.max'));
    const quota =
      max ?? `${read(join(folder, 'cpu.cfs_quota_us')) ?? ''} ${read(join(folder, 'cpu.cfs_period_us')) ?? ''}`;
    const bytes = read(join(folder, 'memory.max')) ?? read(join(folder, 'memory.limit_in_bytes'));
    // The outermost group of version 2 has no such files.
    any ||= quota.trim() !== '' || bytes !== null || read(join(folder, 'cgroup.procs')) !== null;
    const [time = NaN, period = NaN] = quota.split(' ').map(Number.parseFloat);
    if (time > 0 && period > 0) cpu = Math.min(cpu ?? Infinity, time / period);
    const limit = Number.parseInt(bytes ?? '', 10);
    if (limit < UNLIMITED) memory = Math.min(memory ?? Infinity, limit);
  }
  return { read: any, cpu, memory: memory !== null && memory >= totalmem() ? null : memory };
}

/** The folders of the process's groups, of each hierarchy that is mounted, from the innermost outwards. */
function foldersOf(own: string, mounts: string): string[] {
  const folders: string[] = [];
  for (const line of own.split('\n')) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/u.exec(line) ?? [];
    for (const { root, place } of mountsOf(mounts, controllers)) {
      // A container sees its own group as the root of what is mounted.
      let below = path === root ? '' : root === '/' ? path : path.startsWith(`${root}/`) ? path.slice(root.length) : '';
      for (;;) {
        folders.push(join(place, below));
        if (below === '' || below === '/') break;
        below = below.slice(0, below.lastIndexOf('/'));
      }
    }
  }
  return folders;
}

function mountsOf(mounts: string, controllers: string): { root: string; place: string }[] {
  const found: { root: string; place: string }[] = [];
  for (const line of mounts.split('\n')) {
    const [, root = '', place = '', type = '', options = ''] =
      /^\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$/u.exec(line) ?? [];
    const wanted =
      controllers === ''
        ? type === 'cgroup2'
        : type === 'cgroup' && controllers.split(',').every((name) => options.split(',').includes(name));
    if (wanted) found.push({ root, place });
  }
  return found;
}

/** The processors that there are, and those that may be used. */
export function processors(
  { read, cpu }: GroupLimits,
  seen: number = cpus().length,
  usable: number = availableParallelism(),
): Finding {
  const values = { seen, usable, quota: cpu };
  const quota = cpu === null ? (read ? 'no quota' : 'quota unknown') : `a quota of ${Number(cpu.toFixed(2))}`;
  const found = `${seen} seen, ${usable} usable, ${quota}`;
  const means = `--workers cores starts ${usable}`;
  const finding = { id: 'processors', found, means, values };
  if (cpu === null || cpu >= usable) return { ...finding, state: 'ok', todo: null };
  const whole = Math.max(1, Math.floor(cpu));
  const todo = `the control group stops all of them when the quota is used up: serve with --workers ${whole}, or raise the quota`;
  return { ...finding, state: 'note', todo };
}

/** The memory that there is, and how much of it the heap may take. */
export function memory(
  { read, memory: limit }: GroupLimits,
  total: number = totalmem(),
  heap: number = getHeapStatistics().heap_size_limit,
): Finding {
  const values = { total, limit, heap };
  const most = limit ?? total;
  const group = limit === null ? (read ? 'no limit' : 'limit unknown') : `a limit of ${howMuch(limit)}`;
  const found = `${howMuch(total)} in all, ${group}; the heap may grow to ${howMuch(heap)}`;
  const means = 'whoever goes over the limit is killed without a word; buffers of connections lie beside the heap';
  const finding = { id: 'memory', found, means, values };
  if (heap < most) return { ...finding, state: 'ok', todo: null };
  const half = Math.max(16, Math.floor(most / 2 / 1_048_576));
  return { ...finding, state: 'note', todo: `bound the heap: NODE_OPTIONS=--max-old-space-size=${known(half)}` };
}

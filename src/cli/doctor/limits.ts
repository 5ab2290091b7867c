import type { Defaults } from './defaults.ts';
import { known } from './finding.ts';
import type { Finding } from './finding.ts';
import { entriesIn, numberIn, numbersIn, textOf } from './system-files.ts';

/** How many files and sockets this process may have open. */
export interface DescriptorLimits {
  /** Null is unknown, `Infinity` no limit. */
  readonly soft: number | null;
  readonly hard: number | null;
  /** Open already. */
  readonly open: number | null;
}

/** Those of this process. Node has raised the soft limit to the hard one by itself when it started. */
export function descriptorLimits(): DescriptorLimits {
  const [, soft = null, hard = null] =
    /^Max open files\s+(\S+)\s+(\S+)/mu.exec(textOf('/proc/self/limits') ?? '') ?? [];
  const reported = soft === null ? reportedLimits() : { soft, hard };
  return { soft: limit(reported.soft), hard: limit(reported.hard), open: entriesIn('/proc/self/fd') };
}

interface Reported {
  readonly soft: string | number | null;
  readonly hard: string | number | null;
}

/** By Node's own report, where there is no /proc. */
function reportedLimits(): Reported {
  const report = process.report.getReport() as { userLimits?: { open_files?: Reported } };
  return report.userLimits?.open_files ?? { soft: null, hard: null };
}

function limit(value: string | number | null): number | null {
  if (value === null) return null;
  if (value === 'unlimited') return Infinity;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : null;
}

/** Whether there are as many descriptors as a server may have connections. */
export function descriptors({ soft, hard, open }: DescriptorLimits, { maxConnections }: Defaults): Finding {
  const needed = maxConnections + (open ?? 0);
  const values = { soft: finite(soft), hard: finite(hard), open, maxConnections, needed };
  const found = `${worded(soft)} (hard limit ${worded(hard)}), ${known(open)} of them open`;
  const means = `each connection takes one, and a server lets in ${maxConnections} by default`;
  const finding = { id: 'descriptors', found, means, values };
  if (soft === null)
    return { ...finding, state: 'note', todo: 'look at ulimit -n in the shell that starts the server' };
  if (soft >= needed) return { ...finding, state: 'ok', todo: null };
  const fits = Math.max(1, soft - (open ?? 0));
  const todo = `raise it to ${needed} or more (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker), or serve with --max-connections ${fits}`;
  return { ...finding, state: 'bad', todo };
}

/** JSON has no Infinity. */
function finite(value: number | null): number | string | null {
  return value === Infinity ? 'unlimited' : value;
}

function worded(value: number | null): string {
  return known(finite(value));
}

/** How far the limit of descriptors can be raised, and how many the whole system has. `files`: how many are in use, 0, and how many there may be (proc(5)). */
export function ceiling(
  { maxConnections }: Defaults,
  nrOpen: number | null = numberIn('/proc/sys/fs/nr_open'),
  files: readonly number[] | null = numbersIn('/proc/sys/fs/file-nr'),
): Finding {
  const [used = null, , max = null] = files ?? [];
  const values = { nrOpen, used, max };
  const found = `fs.nr_open ${known(nrOpen)}, fs.file-max ${known(max)} with ${known(used)} in use`;
  const means = 'up to the first a process may be allowed descriptors; the second is for all processes together';
  const finding = { id: 'ceiling', found, means, values };
  if (nrOpen === null || used === null || max === null)
    return { ...finding, state: 'note', todo: 'unknown here; on Linux, sysctl fs.nr_open fs.file-nr tells' };
  if (nrOpen >= maxConnections && max - used >= maxConnections) return { ...finding, state: 'ok', todo: null };
  const name = nrOpen < maxConnections ? 'fs.nr_open' : 'fs.file-max';
  return { ...finding, state: 'note', todo: `sysctl -w ${name}=… above the ${maxConnections} connections of a server` };
}

/** Whether as many clients may wait as a listener asks for. */
export function backlog(
  { backlog: wanted }: Defaults,
  somaxconn: number | null = numberIn('/proc/sys/net/core/somaxconn'),
): Finding {
  const values = { somaxconn, backlog: wanted };
  const found = `net.core.somaxconn ${known(somaxconn)}`;
  const means = `so many clients may wait to be accepted; a listener asks for ${wanted} by default`;
  const finding = { id: 'backlog', found, means, values };
  if (somaxconn === null)
    return { ...finding, state: 'note', todo: 'unknown here; the system may let fewer wait than --backlog says' };
  if (somaxconn >= wanted) return { ...finding, state: 'ok', todo: null };
  const todo = `the kernel cuts it to ${somaxconn}, and more clients at once wait for seconds or are refused: sysctl -w net.core.somaxconn=${wanted}`;
  return { ...finding, state: 'note', todo };
}

/** Whether this machine has enough ports for connections that it makes itself. */
export function localPorts(
  { maxConnections }: Defaults,
  range: readonly number[] | null = numbersIn('/proc/sys/net/ipv4/ip_local_port_range'),
): Finding {
  const [from = null, to = null] = range ?? [];
  const count = from === null || to === null ? null : to - from + 1;
  const values = { from, to, count };
  const found =
    count === null ? 'net.ipv4.ip_local_port_range unknown' : `${known(from)} to ${known(to)}, ${count} in all`;
  const means =
    'so many connections a proxy or a load test can have to one address and port; clients that come take none';
  const finding = { id: 'local-ports', found, means, values };
  if (count === null)
    return { ...finding, state: 'note', todo: 'unknown here; on Linux, sysctl net.ipv4.ip_local_port_range tells' };
  if (count >= maxConnections) return { ...finding, state: 'ok', todo: null };
  const todo = `fewer than the ${maxConnections} connections of a server, each of which a proxy passes on: widen it with sysctl -w net.ipv4.ip_local_port_range="1024 65535"`;
  return { ...finding, state: 'note', todo };
}

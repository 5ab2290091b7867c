import type { ServerLimits } from '../server/limits.ts';
import { formatAddress } from '../transport/address.ts';
import type { ConnectionPage } from './connection-query.ts';
import type { DrainProgress } from './drain-progress.ts';
import type { Subject, SubjectConnection, SubjectStatus } from './subject.ts';
import type { Vitals } from './vitals.ts';

/** What a server does now and did so far, as it is told every second. Bytes and milliseconds; what has no limit is null. */
export interface TickJson extends Omit<
  SubjectStatus,
  'transport' | 'addresses' | 'shutdownAddress' | 'ending' | 'maxPerClient' | 'measures'
> {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly maxPerClient: number | null;
  readonly loop: Pick<Vitals, 'utilization' | 'delayP50' | 'delayP99' | 'delayMax' | 'delayNow'>;
  readonly memory: Vitals['memory'];
  readonly cpu: Vitals['cpu'];
  readonly drain: DrainProgress | null;
}

/** The answer to `GET /api/status`: the tick, and what changes seldom or never. */
export interface StatusJson extends TickJson {
  readonly name: string;
  readonly pid: number;
  /** Of Portside, and of Node. */
  readonly version: string;
  readonly node: string;
  readonly transport: string;
  /** Whether there are workers, which can be exchanged. */
  readonly parallel: boolean;
  /** Whether a supervisor can start a new version in its place. */
  readonly upgradable: boolean;
  readonly addresses: readonly string[];
  readonly shutdownAddress: string | null;
  readonly measures: SubjectStatus['measures'];
  readonly limits: LimitsJson;
}

/** Limits as JSON has them: what is without limit is null. */
export type LimitsJson = { readonly [K in keyof ServerLimits]: ServerLimits[K] | null };

/** What is told of a server each second. */
export function tickOf(status: SubjectStatus, vitals: Vitals, drain: DrainProgress | null, wall: number): TickJson {
  const {
    transport: _transport,
    addresses: _,
    shutdownAddress: _at,
    ending: _ending,
    measures: _measures,
    maxPerClient,
    uptime,
    ...rest
  } = status;
  const { utilization, delayP50, delayP99, delayMax, delayNow, memory, cpu } = vitals;
  const loop = { utilization, delayP50, delayP99, delayMax, delayNow };
  const most = maxPerClient === Infinity ? null : maxPerClient;
  return { at: wall, ...rest, uptime: Math.round(uptime), maxPerClient: most, loop, memory, cpu, drain };
}

/** Everything that is told of a server. */
export function statusOf(subject: Subject, status: SubjectStatus, tick: TickJson, version: string): StatusJson {
  const { name, parallel, limits } = subject;
  const { transport, addresses, shutdownAddress, measures } = status;
  return {
    name,
    pid: process.pid,
    version,
    node: process.versions.node,
    transport,
    parallel,
    upgradable: subject.upgrade !== undefined,
    addresses: addresses.map((address) => formatAddress(address)),
    shutdownAddress: shutdownAddress === null ? null : formatAddress(shutdownAddress),
    ...tick,
    measures,
    limits,
  };
}

/** A connection as it is told. */
export interface ConnectionJson extends Omit<SubjectConnection, 'remote' | 'local'> {
  readonly peer: string;
  readonly local: string;
}

/** The answer to `GET /api/connections`. */
export interface ConnectionPageJson extends Omit<ConnectionPage, 'connections'> {
  readonly connections: readonly ConnectionJson[];
}

/** A connection as JSON has it. */
export function connectionJson({
  id,
  worker,
  threadId,
  remote,
  local,
  age,
  ...rest
}: SubjectConnection): ConnectionJson {
  const [peer, here] = [formatAddress(remote), formatAddress(local)];
  return { id, worker, threadId, peer, local: here, age: Math.round(age), ...rest };
}

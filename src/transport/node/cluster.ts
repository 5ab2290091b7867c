import type { Cluster } from 'node:cluster';

/** Whether this process is a worker of node:cluster, whose ports are its primary's: `node:net` asks for them there. */
export function inCluster(): boolean {
  // Workers have a channel to the primary; most processes have none, and are spared the module.
  return process.send !== undefined && (process.getBuiltinModule('node:cluster') as unknown as Cluster).isWorker;
}

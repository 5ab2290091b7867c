/** `node:cluster` as it is: the parent accepts, and passes each connection to a process in turn. */
import cluster from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import process from 'node:process';
import { announce, port, workers } from './control.ts';
import { echo } from './raw-echo.ts';

if (cluster.isPrimary) {
  // No environment may choose another way.
  cluster.schedulingPolicy = cluster.SCHED_RR;
  const children = Array.from({ length: workers }, () => cluster.fork());
  const bound = await Promise.all(
    children.map(async (child) => (await once(child, 'listening')) as [{ port: number }]),
  );
  announce(
    bound[0]?.[0].port ?? 0,
    children.map((child) => child.process.pid ?? 0),
  );
} else {
  // Port 0 is one port for all of them. A child ends when its parent does.
  process.stdin.destroy();
  createServer({ noDelay: true }, echo).listen(port, '127.0.0.1');
}

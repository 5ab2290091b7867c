/** Runs a real redis-server that keeps nothing on disk, and ends it with this process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { announce, portOf } from './control.ts';

/** How often it is tried whether it listens, milliseconds. */
const EVERY = 20;

/** A port that was free a moment ago: redis-server takes 0 for none. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server.address());
  server.close();
  await once(server, 'close');
  return port;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const outcome = once(socket, 'connect').then(
    () => true,
    () => false,
  );
  const there = await outcome;
  socket.destroy();
  return there;
}

const port = await freePort();
const options = { bind: '127.0.0.1', port, save: '', appendonly: 'no', daemonize: 'no', loglevel: 'warning' };
const redis = spawn(
  'redis-server',
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
  { stdio: ['ignore', 'ignore', 'inherit'] },
);
redis.on('error', (error) => {
  throw error;
});
redis.on('exit', (code) => process.exit(code ?? 1));
process.on('exit', () => redis.kill('SIGKILL'));
while (!(await listens(port))) await new Promise((again) => setTimeout(again, EVERY));
announce(port, [redis.pid ?? 0]);

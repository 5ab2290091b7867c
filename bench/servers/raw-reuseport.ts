/** SO_REUSEPORT as it is: each thread has a server of its own on the port, and the kernel chooses. */
import { createServer } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { announce, port, portOf, workers } from './control.ts';
import { echo } from './raw-echo.ts';

if (isMainThread) {
  let bound = port;
  for (let i = 0; i < workers; i++) {
    const thread = new Worker(new URL(import.meta.url), { workerData: bound });
    bound = await new Promise<number>((listening, failed) => {
      thread.once('message', listening);
      thread.once('error', failed);
    });
  }
  announce(bound);
} else {
  const server = createServer({ noDelay: true }, echo);
  server.listen({ port: workerData as number, host: '127.0.0.1', reusePort: true }, () => {
    parentPort?.postMessage(portOf(server.address()));
  });
}

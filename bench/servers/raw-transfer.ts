/** Socket transfer as it is: the main thread accepts, and posts each socket to a thread in turn. */
import { createServer, type Socket } from 'node:net';
import { isMainThread, parentPort, Worker, type Transferable } from 'node:worker_threads';
import { announce, port, portOf, workers } from './control.ts';
import { echo } from './raw-echo.ts';

if (isMainThread) {
  const threads = Array.from({ length: workers }, () => new Worker(new URL(import.meta.url)));
  await Promise.all(threads.map((thread) => new Promise((ready) => thread.once('message', ready))));
  let id = 0;
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {});
    // The types know nothing of sockets there.
    threads[id % workers]?.postMessage([id, socket], [socket as unknown as Transferable]);
    id += 1;
  });
  const ready = new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  await ready;
  await probe(server.address());
  announce(portOf(server.address()));
} else {
  parentPort?.on('message', ([, socket]: [number, Socket]) => {
    echo(socket);
    socket.resume();
  });
  parentPort?.postMessage('ready');
}

/** A Node that can't move sockets throws at the first one. */
async function probe(address: object | string | null): Promise<void> {
  const { connect } = await import('node:net');
  const socket = connect(portOf(address), '127.0.0.1');
  socket.write('?');
  await new Promise((answered, failed) => socket.once('data', answered).once('error', failed));
  socket.destroy();
}

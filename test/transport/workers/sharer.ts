import { parentPort, workerData } from 'node:worker_threads';
import { nativeTransport } from '../../../src/transport/native/transport.ts';

export interface SharerData {
  readonly fd: number;
  readonly name: string;
}
export type SharerOrder = 'want' | 'leave' | 'close' | 'exit';

// Listens on a descriptor that is its own, says its name to each client, and echoes.
const { fd, name } = workerData as SharerData;
const acceptor = await nativeTransport().listen(
  { kind: 'fd', fd },
  { backlog: 512, reusePort: false, reuseAddress: undefined },
);
let open = 0;
let closing = false;

function closed(): void {
  if (closing && open === 0) parentPort?.postMessage('close');
}

acceptor.watcher = {
  ready() {
    const channel = acceptor.take();
    // Another thread was faster.
    if (channel === null) return;
    channel.sink = {
      data: (bytes) => void channel.send(bytes),
      end: () => channel.shutdown(),
      writable() {},
      close() {
        open -= 1;
        closed();
      },
    };
    open += 1;
    channel.flow(true);
    channel.send(Buffer.from(name));
  },
  trouble(error) {
    throw error;
  },
};
parentPort?.on('message', (order: SharerOrder) => {
  if (order === 'exit') process.exit(0);
  if (order === 'close') {
    acceptor.close();
    closing = true;
    closed();
  } else {
    acceptor.want(order === 'want');
    parentPort?.postMessage(order);
  }
});
parentPort?.postMessage('up');

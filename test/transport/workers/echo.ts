import { parentPort, workerData } from 'node:worker_threads';
import type { PassageTicket } from '../../../src/transport/passage.ts';
import { nativeTransport } from '../../../src/transport/native/transport.ts';

/** What it is started with, and what it can be told. */
export interface EchoData {
  readonly ticket: PassageTicket;
  /** Connections that it takes in one go. */
  readonly burst: number;
}
export type EchoOrder = 'exit' | 'spin' | 'close';

const { ticket, burst } = workerData as EchoData;
const nowhere = { family: 'ipv4', host: '127.0.0.1', port: 0 } as const;
const acceptor = nativeTransport().passages!.arrivals(ticket, nowhere, true);
acceptor.watcher = {
  ready() {
    for (let count = 0; count < burst; count++) {
      const channel = acceptor.take();
      if (channel === null) return;
      channel.sink = {
        data: (bytes) => void channel.send(bytes),
        end: () => channel.shutdown(),
        writable() {},
        close() {},
      };
      channel.flow(true);
    }
  },
  trouble(error) {
    throw error;
  },
};
acceptor.want(true);
parentPort?.on('message', (order: EchoOrder) => {
  if (order === 'exit') process.exit(3);
  if (order === 'close') {
    acceptor.close();
    parentPort?.postMessage('closed');
  }
  while (order === 'spin');
});
parentPort?.postMessage('up');

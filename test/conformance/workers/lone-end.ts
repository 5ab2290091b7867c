import { parentPort, workerData } from 'node:worker_threads';
import type { Address } from '../../../src/transport/address.ts';
import type { PassageTicket } from '../../../src/transport/passage.ts';
import { transportCalled } from '../transports.ts';
import type { TransportName } from '../transports.ts';

// Makes the other end of a passage, does with it as it was told, and has nothing else to live for.

interface LoneEndData {
  readonly transport: TransportName;
  readonly ticket: PassageTicket;
  readonly address: Address;
  readonly orders: readonly ('ref' | 'unref' | 'close')[];
}

const { transport: name, ticket, address, orders } = workerData as LoneEndData;
const { passages } = await transportCalled(name);
if (passages === undefined) throw new Error(`${name} has no passages in a thread`);
const acceptor = passages.arrivals(ticket, address, false);
acceptor.watcher = {
  ready() {},
  trouble(error) {
    throw error;
  },
};
acceptor.want(true);
for (const order of orders) {
  if (order === 'close') acceptor.close();
  else acceptor.ref(order === 'ref');
}
parentPort!.postMessage('done', []);

import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import type { Address } from '../../../src/transport/address.ts';
import { nativeTransport } from '../../../src/transport/native/transport.ts';
import { loopback, next, plainBind } from '../native-support.ts';

export interface GiverNews {
  readonly address: Address;
  /** The ticket; its port comes along. */
  readonly ticket: unknown;
}

// Gives so many connections, and says so; what it does then is its parent's business.
const { count } = workerData as { readonly count: number };
const transport = nativeTransport();
const acceptor = await transport.listen(loopback, plainBind);
const passage = transport.passages!.passage(count);
const news: GiverNews = { address: acceptor.address, ticket: passage.ticket };
parentPort?.postMessage(news, passage.transfer);
for (let id = 0; id < count; id++) {
  const channel = await next(acceptor);
  if (!passage.give(channel, id)) throw new Error('no room');
}
parentPort?.postMessage('given');
await once(parentPort!, 'message');

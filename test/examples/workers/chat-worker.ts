import { parentPort, workerData } from 'node:worker_threads';
import { connect } from '../../../src/net/connect.ts';
import type { Connection } from '../../../src/net/connection.ts';
import { channel } from '../../../src/parallel/channel.ts';
import { connectSwitchboard } from '../../../src/parallel/switchboard.ts';
import type { SwitchboardTicket } from '../../../src/parallel/switchboard.ts';
import { serve } from '../../../src/server/server.ts';
import '../../../scripts/on-source.ts';

/** What a worker of the chat begins with: `gate` has a flag for each worker. */
export interface ChatData {
  readonly ticket: SwitchboardTicket;
  readonly gate: SharedArrayBuffer;
}

/** What it is told to do. */
export type ChatOrder =
  /** Lets a client of its own in, and raises its flag when that has an answer. */
  | { readonly kind: 'enter'; readonly name: string }
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'hang-up' };

/** What it tells: where it listens, everything that its own client has read so far, and what the chat here has heard from other workers. */
export type ChatTold =
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'news'; readonly news: unknown }
  | { readonly kind: 'read'; readonly text: string };

const { ticket, gate } = workerData as ChatData;
const port = parentPort as NonNullable<typeof parentPort>;
const tell = (told: ChatTold): void => port.postMessage(told);

// As a worker of a parallel listener does it.
const link = connectSwitchboard(ticket);
const { default: chat } = await import('../../../examples/chat.ts');
// The chat's own receiver comes first.
channel('chat').receive((news) => tell({ kind: 'news', news }));
const server = await serve(chat, { host: '127.0.0.1', port: 0 });
link.open();
const [address] = server.addresses;
if (address === undefined || !('port' in address)) throw new Error('no port');
const place = { host: '127.0.0.1', port: address.port };
let client: Connection | undefined;

async function enter(name: string): Promise<void> {
  client = await connect(place);
  await client.write(`${name}\n`);
  let text = '';
  for await (const chunk of client) {
    text += Buffer.from(chunk).toString();
    tell({ kind: 'read', text });
    if (text.split('\n').length <= 2) continue;
    const flags = new Int32Array(gate);
    Atomics.store(flags, ticket.index, 1);
    Atomics.notify(flags, ticket.index);
  }
}

port.on('message', (order: ChatOrder) => {
  if (order.kind === 'enter') void enter(order.name);
  else if (order.kind === 'say') void client?.write(order.text);
  else void client?.closeWrite();
});
tell({ kind: 'port', port: address.port });

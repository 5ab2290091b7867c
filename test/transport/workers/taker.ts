import { parentPort, workerData } from 'node:worker_threads';
import type { Address } from '../../../src/transport/address.ts';
import type { PassageTicket } from '../../../src/transport/passage.ts';
import { nativeTransport } from '../../../src/transport/native/transport.ts';

export type TakerOrder = 'take' | 'want' | 'leave' | 'close';
export type TakerNews =
  | { readonly kind: 'up' | 'nothing' | 'left' | 'closed' }
  | { readonly kind: 'taken'; readonly local: Address; readonly remote: Address }
  /** What it heard of the one that it took before, until that closed. */
  | { readonly kind: 'heard'; readonly log: readonly string[] };

const nowhere = { family: 'ipv4', host: '127.0.0.1', port: 0 } as const;
const acceptor = nativeTransport().passages!.arrivals(workerData as PassageTicket, nowhere, true);

function say(news: TakerNews): void {
  parentPort?.postMessage(news);
}

/** Takes one and reads it to its end; says nothing where there is none and it was not asked. */
function take(asked: boolean): void {
  const channel = acceptor.take();
  if (channel === null) {
    if (asked) say({ kind: 'nothing' });
    return;
  }
  const log: string[] = [];
  channel.sink = {
    data(bytes) {
      const text = Buffer.from(bytes).toString('latin1');
      // What comes after the first piece may come in any pieces.
      const last = log.pop();
      if (last === undefined) log.push(`data:${text}`);
      else if (last.startsWith('then:')) log.push(`${last}${text}`);
      else log.push(last, `then:${text}`);
      channel.send(bytes);
    },
    end() {
      log.push('end');
      channel.shutdown();
    },
    writable() {},
    close({ kind }) {
      log.push(`close:${kind}`);
      say({ kind: 'heard', log });
    },
  };
  say({ kind: 'taken', local: channel.local, remote: channel.remote });
  channel.flow(true);
}

acceptor.watcher = {
  ready: () => take(false),
  trouble(error) {
    throw error;
  },
};
parentPort?.on('message', (order: TakerOrder) => {
  if (order === 'take') take(true);
  else if (order === 'leave') {
    acceptor.want(false);
    say({ kind: 'left' });
  } else if (order === 'want') acceptor.want(true);
  else {
    acceptor.close();
    say({ kind: 'closed' });
  }
});
say({ kind: 'up' });

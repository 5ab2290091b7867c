import { parentPort, workerData } from 'node:worker_threads';
import { channel } from '../../../src/parallel/channel.ts';
import { connectSwitchboard } from '../../../src/parallel/switchboard.ts';
import type { SwitchboardTicket } from '../../../src/parallel/switchboard.ts';
import type { MemberEvent, Peer } from '../../../src/parallel/worker-channel.ts';

/** What a member is told to do. */
export type Order =
  | { readonly kind: 'open' | 'members' | 'exit' | 'throw' | 'close' | 'quiet' }
  | { readonly kind: 'broadcast'; readonly channel: string; readonly values: readonly unknown[] }
  /** Numbers from 0, in one go; tells how many, and the code of what it threw. The first number of `raise` is 1 after it. */
  | {
      readonly kind: 'flood';
      readonly channel: string;
      readonly count: number;
      readonly raise?: SharedArrayBuffer | undefined;
      /** Never comes back from it. */
      readonly hang?: boolean | undefined;
    }
  /** Numbers from 0 in each turn, for ever. */
  | { readonly kind: 'stream'; readonly channel: string }
  /** An array in an array, so often, and in the same turn the depth. */
  | { readonly kind: 'nest'; readonly channel: string; readonly depth: number }
  | { readonly kind: 'send'; readonly channel: string; readonly to: Peer; readonly value: unknown }
  /** Answers who asks on a channel: twice the number. */
  | { readonly kind: 'double'; readonly channel: string }
  /** Sets the first number of this, and does nothing else until the second is set. */
  | { readonly kind: 'block'; readonly gate: SharedArrayBuffer }
  | { readonly kind: 'last-words'; readonly channel: string; readonly value: unknown };

/** What a member tells. */
export type Told =
  | { readonly kind: 'ready' }
  | { readonly kind: 'heard'; readonly channel: string; readonly value: unknown; readonly from: Peer }
  | { readonly kind: 'member'; readonly event: MemberEvent }
  | { readonly kind: 'done'; readonly result: unknown };

/** What a member begins with. */
export interface MemberData {
  readonly ticket: SwitchboardTicket;
  readonly channels: readonly string[];
}

const { ticket, channels } = workerData as MemberData;
const port = parentPort as NonNullable<typeof parentPort>;
const tell = (told: Told): void => port.postMessage(told);

// One that was made before it was connected, and those after.
const before = channel('before');
const link = connectSwitchboard(ticket);
for (const name of channels) {
  const each = name === 'before' ? before : channel(name);
  // What is nested can be too deep for the test's own thread.
  const shown = (value: unknown): unknown => (Array.isArray(value) ? 'nested' : value);
  each.receive((value, from) => tell({ kind: 'heard', channel: name, value: shown(value), from }));
}
before.onMember((event) => tell({ kind: 'member', event }));

function raise(gate: SharedArrayBuffer, place: number): void {
  const flags = new Int32Array(gate);
  Atomics.store(flags, place, 1);
  Atomics.notify(flags, place);
}

function flood(name: string, count: number): { sent: number; code: unknown } {
  let sent = 0;
  try {
    for (; sent < count; sent += 1) channel<number>(name).broadcast(sent);
  } catch (error) {
    return { sent, code: (error as { code?: unknown }).code };
  }
  return { sent, code: null };
}

function obey(order: Order): unknown {
  switch (order.kind) {
    case 'open':
      return link.open();
    case 'close':
      return link.close();
    case 'members':
      return { self: before.self, members: before.members };
    case 'exit':
      return process.exit(0);
    case 'throw':
      setImmediate(() => {
        throw new Error('it was told to');
      });
      return null;
    case 'quiet':
      // Only what else there is keeps it alive.
      return port.unref();
    case 'broadcast':
      for (const value of order.values) channel(order.channel).broadcast(value);
      return null;
    case 'flood': {
      const flooded = flood(order.channel, order.count);
      if (order.raise !== undefined) raise(order.raise, 0);
      for (;;) if (order.hang !== true) return flooded;
    }
    case 'stream': {
      let next = 0;
      setInterval(() => {
        for (let i = 0; i < 100; i += 1) channel(order.channel).broadcast(next++);
      }, 1);
      return null;
    }
    case 'nest': {
      let value: unknown = 0;
      for (let i = 0; i < order.depth; i += 1) value = [value];
      channel(order.channel).broadcast(value);
      channel(order.channel).broadcast(order.depth);
      return null;
    }
    case 'send':
      return channel(order.channel).send(order.to, order.value);
    case 'double': {
      const asked = channel<number>(order.channel);
      asked.receive((value, from) => void asked.send(from, value * 2));
      return null;
    }
    case 'block':
      raise(order.gate, 0);
      Atomics.wait(new Int32Array(order.gate), 1, 0);
      return null;
    case 'last-words':
      channel(order.channel).broadcast(order.value);
      return process.exit(0);
  }
}

port.on('message', (order: Order) => {
  const result = obey(order) ?? null;
  // What is sent in a turn goes out at its end, and is on its way when this is told.
  if (order.kind === 'broadcast' || order.kind === 'nest') setImmediate(() => tell({ kind: 'done', result }));
  else tell({ kind: 'done', result });
});
tell({ kind: 'ready' });

// Counts its visitors: one loop that waits for whatever comes first, a client, the next second, a word
// from a client, or the end. Each turn of the loop commits to exactly one of them; the others have lost nothing.
//   node examples/count.ts            (PORT=7100 by default)
//   nc 127.0.0.1 7100
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { after, choose, listen, makeEvt, map, none, sync } from 'portside';
import type { Connection, Evt, Listener } from 'portside';

interface Visitor {
  readonly conn: Connection;
  readonly number: number;
}

/** What can happen next. */
type Happening =
  | { readonly kind: 'arrived'; readonly conn: Connection }
  | { readonly kind: 'said'; readonly visitor: Visitor; readonly bytes: Uint8Array | null }
  | { readonly kind: 'tick' }
  | { readonly kind: 'stop' };

const TICK = 1_000;
/** Clients beyond it wait in the listener's queue: the loop just doesn't ask for them. */
const MOST = 100;

/** Counts until `stop` is aborted; resolves with the number of visitors that there were. */
export async function count(listener: Listener, stop: AbortSignal, tick: number = TICK): Promise<number> {
  const visitors = new Map<Connection, Visitor>();
  let total = 0;
  let ticks = 0;
  let nextTick = after(tick);

  const happenings = (): Evt<Happening>[] => {
    const events: Evt<Happening>[] = [map(stop, () => ({ kind: 'stop' })), map(nextTick, () => ({ kind: 'tick' }))];
    if (visitors.size < MOST) events.push(map(listener.acceptEvt(), (conn) => ({ kind: 'arrived', conn })));
    for (const visitor of visitors.values()) events.push(saying(visitor));
    return events;
  };

  for (;;) {
    const happening = await sync(choose(...happenings()));
    switch (happening.kind) {
      case 'arrived': {
        total += 1;
        const visitor = { conn: happening.conn, number: total };
        visitors.set(visitor.conn, visitor);
        void visitor.conn.write(`You are visitor ${visitor.number}. Say "who", or "bye".\n`);
        break;
      }
      case 'said':
        if (!answer(happening.visitor, happening.bytes, visitors)) {
          visitors.delete(happening.visitor.conn);
          void happening.visitor.conn.close();
        }
        break;
      case 'tick':
        ticks += 1;
        nextTick = after(tick);
        for (const { conn } of visitors.values()) void conn.write(`${ticks}: ${visitors.size} here, ${total} in all\n`);
        break;
      case 'stop':
        for (const { conn } of visitors.values()) void conn.write(`Closed. There were ${total}.\n`);
        await Promise.all([listener.close(), ...[...visitors.keys()].map((conn) => conn.close({ linger: 1_000 }))]);
        return total;
    }
  }
}

/** A visitor's next bytes. One whose connection fails has left: its error must not end the loop, so this Evt is made by hand. */
function saying(visitor: Visitor): Evt<Happening> {
  const read = visitor.conn.readEvt();
  const said = (bytes: Uint8Array | null): Happening => ({ kind: 'said', visitor, bytes });
  return makeEvt<Happening>({
    take() {
      try {
        const bytes = read.take();
        return bytes === none ? none : said(bytes);
      } catch {
        return said(null);
      }
    },
    watch: (wake) => read.watch(wake),
  });
}

/** Whether the visitor stays. */
function answer(
  { conn, number }: Visitor,
  bytes: Uint8Array | null,
  visitors: ReadonlyMap<Connection, Visitor>,
): boolean {
  if (bytes === null) return false;
  const word = Buffer.from(bytes).toString('utf8').trim();
  if (word === 'bye') return false;
  if (word === 'who') void conn.write(`${[...visitors.values()].map((visitor) => visitor.number).join(' ')}\n`);
  else void conn.write(`Visitor ${number}, say "who" or "bye".\n`);
  return true;
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  const listener = await listen({ port: process.env['PORT'] ?? 7_100, host: '127.0.0.1' });
  const { address } = listener;
  console.log(`Counting visitors; connect with: nc 127.0.0.1 ${'port' in address ? address.port : ''}`);
  console.log(`There were ${await count(listener, stop.signal)}.`);
}

import { byteCount, check, checkValue, fn, string, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import type { MessageEvent, Orientation } from '../endpoint.ts';
import { formatReason } from '../format-reason.ts';
import { formatTopic } from '../format-topic.ts';
import { _, isHole } from '../hole.ts';
import type { Boot } from '../self.ts';
import type { Topic } from '../topic-types.ts';
import { hexDump } from '../../base/hex-dump.ts';
import { timeOf, watchAll, whoIs } from './spy.ts';
import type { SpySink } from './spy.ts';
import { tcpChannel, tcpCredit, tcpEnd, tcpMode } from './tcp-channel.ts';
import { tcpAddress, tcpHandle, tcpListener } from './tcp-places.ts';

/** Settings of {@link tcpSpy}. */
export interface TcpSpyOptions {
  /** Stands behind the time in each line. @default 'tcp' */
  readonly label?: string | undefined;
  /** Bytes of one message that are shown at most. @default 1024 */
  readonly bytes?: number | undefined;
}

const spyTable = table('tcpSpy', { label: string(), bytes: byteCount() });
const agreed: Agrees<typeof spyTable, TcpSpyOptions> = true;
void agreed;
const sinkRule = fn<SpySink>();

/**
 * The actor that writes down what goes over the TCP connections of a space, bytes as a hex dump; see `spy`.
 *
 *     space.spawn(tcpSpy((line) => console.error(line)));
 *     // 2025-01-01T00:00:00.000Z tcp 192.0.2.1:40000 → *:5999 + publisher 9 of actor 4
 *     // 2025-01-01T00:00:00.000Z tcp 192.0.2.1:40000 → *:5999 6 bytes
 *     // 2025-01-01T00:00:00.000Z tcp 192.0.2.1:40000 → *:5999 00000000  68 65 6c 6c 6f 0a                                 |hello.|
 *     // 2025-01-01T00:00:00.000Z tcp 192.0.2.1:40000 ← *:5999 credit 10
 *
 * The arrow shows where a thing goes: what is fed back goes against its channel. Texts are shown as the bytes of their UTF-8.
 * What flows may be secret, and all of it is shown.
 *
 * @throws ERR_PORTSIDE_OPTIONS
 */
export function tcpSpy(sink: SpySink, options?: TcpSpyOptions): Boot {
  checkValue('tcpSpy', 'sink', sinkRule, sink);
  const { label = 'tcp', bytes: most = 1_024 }: TcpSpyOptions = check(spyTable, options);
  return (self) =>
    watchAll(self, tcpChannel(_, _, _), {
      line: (text) => sink(`${timeOf(self)} ${label} ${text}`),
      came: (side, event) => `${way(event.topic, 'subscriber')} + ${whoIs(side, event)}`,
      went: (side, event) => `${way(event.topic, 'subscriber')} - ${whoIs(side, event)} ${formatReason(event.reason)}`,
      said: (to, event) => lines(to, event, most),
    });
}

function lines(to: Orientation, { topic }: MessageEvent<Topic>, most: number): readonly string[] {
  const along = way(topic, to);
  return bodyLines((topic as { readonly body?: Topic }).body ?? null, most).map((text) => `${along} ${text}`);
}

function bodyLines(body: Topic, most: number): readonly string[] {
  if (body instanceof Uint8Array) return dump(body.subarray(0, most), body.length, 'bytes');
  if (typeof body === 'string') {
    // Each unit is a byte at least, and only the last one may be half of a pair.
    const shown = Buffer.from(body.slice(0, most + 1)).subarray(0, most);
    return dump(shown, Buffer.byteLength(body), 'bytes of text');
  }
  if (tcpCredit.is(body)) return [`credit ${formatTopic(body.amount)}`];
  if (tcpMode.is(body)) return [`mode ${word(body.mode)}`];
  if (tcpEnd.is(body)) return ['end'];
  return [formatTopic(body, { limit: 400 })];
}

function dump(shown: Uint8Array, size: number, what: string): readonly string[] {
  const lines = [`${size} ${size === 1 ? what.replace('bytes', 'byte') : what}`, ...hexDump(shown)];
  if (size > shown.length) lines.push(`… ${size - shown.length} more`);
  return lines;
}

/** Both sides of a channel, and which of them something is for. */
function way(topic: Topic, to: Orientation): string {
  const { source, destination } = topic as { readonly source?: Topic; readonly destination?: Topic };
  return `${place(source ?? null)} ${to === 'subscriber' ? '→' : '←'} ${place(destination ?? null)}`;
}

function place(where: Topic): string {
  if (tcpAddress.is(where) || tcpListener.is(where)) return `${host(where.host)}:${word(where.port)}`;
  if (tcpHandle.is(where)) return `handle ${word(where.id)}`;
  return word(where);
}

function host(name: Topic): string {
  return typeof name === 'string' && name.includes(':') ? `[${word(name)}]` : word(name);
}

// Hosts and names are whatever somebody says they are; a line has no room for more than a few of their letters.
function word(value: Topic): string {
  if (value === null || isHole(value)) return '*';
  if (typeof value === 'string' && /^[\w.:%-]{1,64}$/u.test(value)) return value;
  return formatTopic(value, { limit: 100 });
}

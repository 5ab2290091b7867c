import type { prettyFactory } from 'pino-pretty';
import { visible } from '../../server/log-text.ts';

type Fields = Record<string, unknown>;

/** Makes text for people of a line of JSON, with its ending. */
export type Pretty = (line: string) => string;

/** How access lines read. */
const ENDED: Readonly<Record<string, string>> = {
  'connection closed': 'closed',
  'connection given away': 'given away',
  'connection handed over': 'handed over',
};

/**
 * What makes lines of a log readable, by pino-pretty, which is loaded when it is needed: whose line it is (`#12 127.0.0.1:50123`, with workers `0/12`) before what it says, and its further fields
 * behind. Nothing in a line can end it or steer the terminal.
 */
export async function prettyLines(colors: boolean): Promise<Pretty> {
  const { prettyFactory: make } = (await import('pino-pretty')) as { prettyFactory: typeof prettyFactory };
  const pretty = make({ colorize: colors, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid', singleLine: true });
  return (line) => pretty(readable(JSON.parse(line) as Fields)) ?? line;
}

function readable(line: Fields): Fields {
  const { level, time, msg = '', conn, worker, peer, ...rest } = seen(line) as Fields;
  const who = nameOf(conn, worker, peer);
  const access = ENDED[msg as string];
  if (access === undefined || typeof rest['reason'] !== 'string')
    return { level, time, msg: `${who}${said(msg)}`, ...rest };
  return { level, time, msg: `${who}${accessText(access, rest)}` };
}

function nameOf(conn: unknown, worker: unknown, peer: unknown): string {
  const parts: string[] = [];
  if (conn !== undefined) parts.push(worker === undefined ? `#${said(conn)}` : `#${said(worker)}/${said(conn)}`);
  else if (worker !== undefined) parts.push(`worker ${said(worker)}`);
  if (peer !== undefined) parts.push(said(peer));
  return parts.length === 0 ? '' : `${parts.join(' ')} `;
}

/** `closed after 1.2 s: ended; 120 bytes in, 340 out; TLSv1.3 chat.example.org; by 10.0.0.2:4711` */
function accessText(how: string, line: Fields): string {
  const { reason, detail, duration, bytesRead, bytesWritten, tls, via, to } = line;
  const whom = reason === 'handed-over' ? ` to worker ${said(to)}` : '';
  const why = how === 'closed' ? `: ${said(detail ?? reason)}` : '';
  const parts = [
    `${how}${whom} after ${spent(Number(duration))}${why}`,
    `${said(bytesRead)} bytes in, ${said(bytesWritten)} out`,
  ];
  if (typeof tls === 'object' && tls !== null) {
    const { protocol, servername } = tls as { protocol: string; servername: string | null };
    parts.push(servername === null ? protocol : `${protocol} ${servername}`);
  }
  if (via !== undefined) parts.push(`by ${said(via)}`);
  return parts.join('; ');
}

/** `800 ms`, `1.2 s`, `3.5 min`, `2.1 h` */
function spent(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

function said(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/** Data whose texts and names are visible; a stack stays in lines. */
function seen(value: unknown, name = ''): unknown {
  if (typeof value === 'string') return name === 'stack' ? value.split('\n').map(visible).join('\n') : visible(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((one: unknown) => seen(one));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [visible(key), seen(one, key)]));
}

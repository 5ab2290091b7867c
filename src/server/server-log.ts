import { link } from '../net/connection.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import type { Clock } from '../sync/clock.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import { logText } from './log-text.ts';
import { errorFields } from './log-value.ts';
import { silentLogger } from './logger.ts';
import type { LogLevel, Logger } from './logger.ts';
import type { ServerOptions } from './options.ts';
import type { Refusal } from './refusal.ts';
import { Repeats, kindOfError } from './repeats.ts';
import type { Served } from './served.ts';
import { reasonName } from './status.ts';
import { describeReason } from './verbose.ts';

type Fields = Record<string, unknown>;

/** What is said of errors, of a handler and of anything else. */
export const failures = { handler: 'handler failed', server: 'server error' } as const;

/** A line that may come many times. */
interface Line {
  readonly level: LogLevel;
  readonly fields: Fields;
  readonly message: string;
}

/** What a server writes to its log: a line for each connection that is over, and what goes wrong, the same many times in a second as one line with a count. */
export class ServerLog {
  readonly logger: Logger;
  readonly #access: boolean;
  readonly #fail: (error: unknown) => void;
  readonly #repeats: Repeats<Line>;
  /** Whether the last line could not be written. */
  #broken = false;

  /** `fail` gets what the logger throws, once until a line was written again. */
  constructor(logger: Logger, access: boolean, clock: Clock, fail: (error: unknown) => void) {
    this.logger = logger;
    this.#access = access;
    this.#fail = fail;
    this.#repeats = new Repeats(clock, (line, repeated) => this.#tell(line, repeated));
  }

  /** The access line of a connection that is over. `took`: milliseconds since its accept. */
  closed({ id, connection }: Served, reason: CloseReason, took: number): void {
    this.#gone(id, connection, took, 'connection closed', () => ({ reason: reasonName(reason), ...detailOf(reason) }));
  }

  /** The access line of one that its handler gave away. */
  detached({ id, connection }: Served, took: number): void {
    this.#gone(id, connection, took, 'connection given away', () => ({ reason: 'detached' }));
  }

  /** The access line of one that another worker has now, which has one of its own in the end. */
  handedOver({ id, connection }: Served, took: number, to: number): void {
    this.#gone(id, connection, took, 'connection handed over', () => ({ reason: 'handed-over', to }));
  }

  refused(remote: Address, refusal: Refusal): void {
    this.#often('warn', `refused ${refusal.kind}`, 'connection refused', () => {
      const { kind, ...rest } = refusal;
      const { error, ...more } = rest as { readonly error?: Error };
      return {
        peer: addressText(remote),
        refusal: kind,
        ...(error === undefined ? more : { ...more, detail: logText(error.message) }),
      };
    });
  }

  /** What a handler or a hook threw, or what went wrong in a worker. */
  failed(
    error: unknown,
    about: { readonly connection?: Connection | undefined; readonly id?: number | undefined; readonly fields?: Fields },
  ): void {
    const { connection, id, fields } = about;
    const message = failures[connection === undefined && fields?.['peer'] === undefined ? 'server' : 'handler'];
    this.#often('error', `${message} ${kindOfError(error)}`, message, () => ({
      ...fields,
      ...(id === undefined ? {} : { conn: id }),
      ...(connection === undefined ? {} : { peer: addressText(connection.remote) }),
      err: errorFields(error),
    }));
  }

  /** Something stands in the way of accepting. */
  trouble(error: unknown, fields?: Fields): void {
    const message = 'accepting met an error';
    this.#often('warn', `${message} ${kindOfError(error)}`, message, () => ({ ...fields, err: errorFields(error) }));
  }

  /** So many more errors, of which no more is known. */
  further(count: number): void {
    this.#repeats.more(count);
  }

  /** Something that happens seldom. */
  note(message: string): void {
    this.#line('info', {}, logText(message));
  }

  /** Lines that were lost on their way here. */
  lost(count: number, fields: Fields): void {
    this.#line('warn', { ...fields, lost: count }, 'log lines were lost');
  }

  /** Does what writes to the logger. What that throws is told once, until a line was written again. */
  write(lines: () => void): void {
    try {
      lines();
      this.#broken = false;
    } catch (error) {
      if (this.#broken) return;
      this.#broken = true;
      this.#fail(error);
    }
  }

  /** Tells the counts that are still to be told. */
  end(): void {
    this.#repeats.end();
  }

  // ---- inside ----

  #gone(id: number, connection: Connection, took: number, message: string, how: () => Fields): void {
    if (!this.#access) return;
    this.write(() => {
      if (this.logger.isLevelEnabled('info'))
        this.logger.info({ conn: id, ...accessFields(connection, took), ...how() }, message);
    });
  }

  #often(level: LogLevel, kind: string, message: string, fields: () => Fields): void {
    this.#repeats.tell(kind, () => ({ level, message, fields: fields() }));
  }

  #tell(line: Line | null, repeated: number): void {
    if (line === null) this.#line('warn', { repeated }, 'further errors');
    else this.#line(line.level, repeated === 0 ? line.fields : { ...line.fields, repeated }, line.message);
  }

  #line(level: LogLevel, fields: Fields, message: string): void {
    this.write(() => this.logger[level](fields, message));
  }
}

function accessFields(connection: Connection, took: number): Fields {
  const { remote, tls, bytesRead, bytesWritten } = connection;
  const peer = addressText(remote);
  const via = addressText(link(connection).channel.remote);
  return {
    peer,
    // Who brought it: the proxy.
    ...(via === peer ? {} : { via }),
    ...(tls === null
      ? {}
      : {
          tls: {
            protocol: tls.protocol,
            cipher: tls.cipher,
            servername: tls.servername === null ? null : logText(tls.servername, 255),
            alpn: tls.alpn === null ? null : logText(tls.alpn, 255),
          },
        }),
    bytesRead,
    bytesWritten,
    duration: Math.round(took),
  };
}

/** What a reason says beside its name. */
function detailOf(reason: CloseReason): Fields {
  switch (reason.kind) {
    case 'failed':
    case 'handshake':
      return { code: logText(String(reason.error.code), 100), detail: logText(describeReason(reason)) };
    case 'aborted':
      return reason.cause instanceof Error ? { detail: logText(describeReason(reason)) } : {};
    case 'dropped':
      return { unsent: reason.unsent };
    case 'write-overflow':
    case 'timeout':
    case 'refused':
      return { detail: logText(describeReason(reason)) };
    default:
      return {};
  }
}

function addressText(address: Address): string {
  return logText(formatAddress(address), 200);
}

/** The log of a server; null where there is none. */
export function serverLogOf(
  { logger, accessLog = true }: Pick<ServerOptions, 'logger' | 'accessLog'>,
  clock: Clock,
  failed: (error: unknown) => void,
): ServerLog | null {
  return logger === undefined ? null : new ServerLog(logger, accessLog, clock, failed);
}

/** The logger of one connection; the silent one where there is no log. */
export function connectionLogger({ id, connection, host }: Served): Logger {
  const { log } = host;
  return log === null ? silentLogger : log.logger.child({ conn: id, peer: addressText(connection.remote) });
}

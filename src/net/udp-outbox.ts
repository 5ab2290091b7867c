import { ClosedError, PortsideError, isPortsideError } from '../base/errors.ts';
import { formatAddress, tcpAddress } from '../transport/address.ts';
import type { Datagrams } from '../transport/node/datagram.ts';
import { systemError } from '../transport/system-error.ts';
import { resolveHost } from './resolve.ts';
import { familyOf } from './udp-address.ts';

/** A datagram on its way to the kernel. */
interface Pending {
  readonly length: number;
  settle(error: Error | null): void;
}

/** Datagrams on their way to the kernel: bounded, and each told how it went. */
export class UdpOutbox {
  readonly #socket: Datagrams;
  readonly #pending = new Set<Pending>();
  readonly #mostDatagrams: number;
  readonly #mostBytes: number;
  #bytes = 0;
  #idle: (() => void) | undefined;
  #closed = false;

  constructor(socket: Datagrams, mostDatagrams: number, mostBytes: number) {
    this.#socket = socket;
    this.#mostDatagrams = mostDatagrams;
    this.#mostBytes = mostBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing is on its way. */
  get idle(): boolean {
    return this.#pending.size === 0;
  }

  /** Calls `then` once when nothing is on its way any more. */
  whenIdle(then: () => void): void {
    this.#idle = then;
  }

  hasRoom(length: number): boolean {
    // One datagram always fits: the kernel, not the outbox, says how long it may be.
    return (
      this.#pending.size === 0 || (this.#pending.size < this.#mostDatagrams && this.#bytes + length <= this.#mostBytes)
    );
  }

  /** Sends; the promise is never an unhandled rejection. */
  send(chunk: Uint8Array, host: string, port: number): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      if (!this.hasRoom(chunk.length)) {
        const message = `${this.#pending.size} datagrams (${this.#bytes} bytes) are on their way already; await send(), or raise outboxDatagrams or outboxBytes`;
        reject(
          new PortsideError('ERR_PORTSIDE_LIMIT', message, { op: 'send', local: formatAddress(this.#socket.address) }),
        );
        return;
      }
      const pending: Pending = {
        length: chunk.length,
        settle: (error) => {
          if (error === null) resolve();
          else reject(error);
        },
      };
      this.#pending.add(pending);
      this.#bytes += chunk.length;
      if (familyOf(host) === undefined) this.#lookUp(pending, chunk, host, port);
      else this.#pass(pending, chunk, host, port);
    });
    // Errors of the wire must not kill a process that didn't ask for them.
    promise.catch(() => {});
    return promise;
  }

  /** Fails all that is on its way. */
  close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const pending of this.#pending) pending.settle(error);
    this.#pending.clear();
    this.#bytes = 0;
  }

  #done(pending: Pending, error: Error | null): void {
    if (!this.#pending.delete(pending)) return;
    this.#bytes -= pending.length;
    pending.settle(error);
    if (this.#pending.size === 0) this.#idle?.();
  }

  #lookUp(pending: Pending, chunk: Uint8Array, host: string, port: number): void {
    const { family, host: own } = this.#socket.address;
    const families = family === 'ipv4' ? (['ipv4'] as const) : own === '::' ? undefined : (['ipv6'] as const);
    resolveHost(host, { families, role: 'client' }).then(
      ([first]) => {
        // It may have been closed, and another socket opened, while the name was looked up.
        if (!this.#pending.has(pending)) return;
        if (first === undefined) throw new TypeError('resolveHost never gives an empty list');
        this.#pass(pending, chunk, first.host, port);
      },
      (error: unknown) => this.#done(pending, isPortsideError(error) ? error : systemError('send', error)),
    );
  }

  #pass(pending: Pending, chunk: Uint8Array, given: string, port: number): void {
    const { address } = this.#socket;
    const host = reach(given, address.family, address.host);
    if (host === undefined) {
      const local = formatAddress(address);
      const remote = formatAddress(tcpAddress(given, port));
      this.#done(
        pending,
        new PortsideError(
          'EAFNOSUPPORT',
          `${remote} can't be reached from ${local}, which is of the other family; bind a socket of its own for it`,
          { op: 'send', local, remote },
        ),
      );
      return;
    }
    try {
      this.#socket.send(chunk, port, host, (error) =>
        this.#done(pending, this.#closed && error !== null ? closedOf(error) : error),
      );
    } catch (error) {
      this.#done(
        pending,
        isPortsideError(error) ? error : systemError('send', error, { local: formatAddress(address) }),
      );
    }
  }
}

function closedOf(error: PortsideError): Error {
  return new ClosedError('the UDP socket is closed', {
    op: 'send',
    local: error.local,
    remote: error.remote,
    cause: error,
  });
}

/** The host as a socket of some family has to be given it; undefined when it can't reach it. */
function reach(host: string, family: 'ipv4' | 'ipv6', own: string): string | undefined {
  const plain = tcpAddress(host, 0);
  if (plain.family === family) return plain.host;
  return family === 'ipv6' && own === '::' ? `::ffff:${plain.host}` : undefined;
}

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe } from 'node:test';
import type { Siege } from '../support/siege.ts';
import { nets } from '../support/nets.ts';
import type { Net } from '../support/nets.ts';

/** How the server ended an attacker's connection, or that it never became one. */
export type Fate = 'refused' | 'reset' | 'ended';

/** An attacker's socket, of Node's own and not of Portside's. It reads nothing before it is told to. */
export class Raw {
  readonly socket: Socket;
  /** Whether it became a connection. */
  readonly opened: Promise<boolean>;
  /** Seen only by those who read. */
  readonly fate: Promise<Fate>;

  constructor(port: number, from?: string) {
    this.socket = connect({ host: '127.0.0.1', port, ...(from === undefined ? {} : { localAddress: from }) });
    let connected = false;
    let code: string | null = null;
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? '';
    });
    this.opened = new Promise((resolve) => {
      this.socket.once('connect', () => {
        connected = true;
        resolve(true);
      });
      this.socket.once('close', () => resolve(false));
    });
    this.fate = new Promise((resolve) => {
      this.socket.once('close', () => resolve(!connected ? 'refused' : code === null ? 'ended' : 'reset'));
    });
  }

  /** Reads whatever comes, and lets it go, until the end. */
  drain(): this {
    this.socket.resume();
    return this;
  }

  /** Ends it by RST, where there is a connection to reset. */
  reset(): void {
    // Node would wait until it is one; and one that is being shut down it can't reset.
    if (this.socket.connecting || this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}

/** An attacker, when it is connected. */
export async function rawOn({ port }: Siege, from?: string): Promise<Raw> {
  const raw = new Raw(port, from);
  await raw.opened;
  return raw;
}

/** Many at once, those that could connect. */
export function manyOn(siege: Siege, count: number, from?: (i: number) => string): Promise<Raw[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => rawOn(siege, from?.(i))));
}

/** Addresses of this machine, all different, none of them an honest client's. Only Linux has them without more ado. */
export function stranger(i: number): string {
  return `127.66.${Math.floor(i / 250) % 250}.${(i % 250) + 1}`;
}

/** Why tests that need several addresses of this machine are left out. */
export const oneAddress: string | false = process.platform === 'linux' ? false : '127.0.0.0/8 is not local here';

/** Describes a promise once for each transport that has real sockets. */
export function onEachKernel(promise: string, tests: (net: Net) => void): void {
  for (const net of nets().filter(({ name }) => name !== 'memory'))
    describe(`${promise} (${net.name})`, () => tests(net));
}

/** Lets the loop turn, with input and output between, so many times. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

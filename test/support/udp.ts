import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach } from 'node:test';
import { bindUdp } from '../../src/net/udp.ts';
import type { Datagram, UdpOptions, UdpSocket } from '../../src/net/udp.ts';
import { watchLeaks } from './leaks.ts';

export const LOCAL = '127.0.0.1';
export const text = (datagram: Datagram): string => Buffer.from(datagram.data).toString();

const interfaces = Object.entries(networkInterfaces());
export const v6: boolean = interfaces.some(([, list]) => list?.some(({ address }) => address === '::1'));
/** The name of the loopback interface. */
export const lo: string = interfaces.find(([, list]) => list?.some(({ address }) => address === LOCAL))?.[0] ?? 'lo';

/** An interface that is not the loopback one and has an address of the family. */
export function outside(family: 'IPv4' | 'IPv6'): string | undefined {
  return interfaces.find(([, list]) => list?.some((one) => !one.internal && one.family === family))?.[0];
}

export type Bound = (where?: UdpOptions | number | string, more?: UdpOptions) => Promise<UdpSocket>;

/** Sockets that are closed when each test of the file is over, and a check that nothing was left open. */
export function udpSockets(): Bound {
  let checkLeaks: () => Promise<void>;
  let opened: UdpSocket[] = [];
  beforeEach(() => {
    checkLeaks = watchLeaks();
  });
  // Hooks of a test run before this one, so that what they close is closed by now.
  afterEach(async () => {
    await Promise.all(opened.map((socket) => socket.close()));
    opened = [];
    await checkLeaks();
  });
  return async (where = { host: LOCAL }, more) => {
    const socket = await bindUdp(where, more);
    opened.push(socket);
    return socket;
  };
}

/** Waits until the socket has that many datagrams, by turns of the loop. */
export async function arrived(socket: UdpSocket, count: () => number, wanted: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (count() < wanted) {
    assert.ok(performance.now() < deadline, `${count()} of ${wanted} came to ${socket.local.port}`);
    await new Promise(setImmediate);
  }
}

import type { TestContext } from 'node:test';
import type { Datagram, UdpSocket } from '../../src/net/udp.ts';
import { bindUdp } from '../../src/net/udp.ts';
import { startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';

/** The resolver, when it is ready. */
export async function startResolver(
  t: TestContext,
  ...upstreams: readonly number[]
): Promise<{ resolver: Program; port: number }> {
  const args = upstreams.flatMap((port) => ['--upstream', `127.0.0.1:${port}`]);
  for (;;) {
    const resolver = startNode(t, ['examples/dns-resolver.ts', '--port', '0', ...args]);
    const ready = resolver.until(/ask with: dig @127\.0\.0\.1 -p (\d+) /u);
    const [, port] = await ready.catch((error: unknown) => {
      // The port that the system chose for TCP may have somebody else by UDP.
      if (!resolver.err.includes('in use')) throw error;
      return [];
    });
    if (port !== undefined) return { resolver, port: Number(port) };
  }
}

/** A socket that is closed with its test. */
export async function socketFor(t: TestContext, port = 0): Promise<UdpSocket> {
  const socket = await bindUdp({ host: '127.0.0.1', port });
  t.after(() => socket.close());
  return socket;
}

/** The next packet that comes, within a time in which it must. */
export async function next(socket: UdpSocket, within = 10_000): Promise<Datagram> {
  return socket.receive({ signal: AbortSignal.timeout(within) });
}

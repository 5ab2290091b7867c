import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Address } from '../../src/transport/address.ts';
import type { Acceptor, Channel, Transport } from '../../src/transport/contract.ts';
import { dialTarget } from '../conformance/backends.ts';

export const loopback = { kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false } as const;
export const plainBind = { backlog: 16, reusePort: false, reuseAddress: undefined } as const;

/** Statements for a process of its own: the transport, and the words that the tests share. */
export const prelude: string = `
  import { nativeTransport } from ${JSON.stringify(new URL('../../src/transport/native/transport.ts', import.meta.url).href)};
  import { loadNative } from ${JSON.stringify(new URL('../../src/transport/native/load.ts', import.meta.url).href)};
  const loopback = ${JSON.stringify(loopback)};
  const plainBind = { backlog: 16, reusePort: false, reuseAddress: undefined };
  const deaf = { data() {}, end() {}, writable() {}, close() {} };
  const dialTo = (address) => transport.dial({ kind: 'tcp', host: address.host, port: address.port, localHost: undefined, localPort: undefined }).result;
  const transport = nativeTransport();
`;

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export function startChild(code: string, stdio: StdioOptions = ['ignore', 'pipe', 'pipe']): ChildProcess {
  return spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', code], { stdio, timeout: 30_000 });
}

/** Runs statements in a process of their own, and waits for its end. */
export async function inChild(code: string, stdio?: StdioOptions): Promise<Outcome> {
  return outcome(startChild(code, stdio));
}

export async function outcome(child: ChildProcess): Promise<Outcome> {
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, out, err };
}

/** Takes one connection when it comes, and turns wanting off. */
export function next(acceptor: Acceptor): Promise<Channel> {
  return new Promise((resolve, reject) => {
    acceptor.watcher = {
      ready() {
        const channel = acceptor.take();
        if (channel === null) return;
        acceptor.want(false);
        resolve(channel);
      },
      trouble: reject,
    };
    acceptor.want(true);
  });
}

export function dial(transport: Transport, address: Address): Promise<Channel> {
  return transport.dial(dialTarget(address)).result;
}

/** Reads all to the end of the connection, flow on. */
export function readAll(channel: Channel): Promise<{ readonly text: string; readonly why: string }> {
  return new Promise((resolve) => {
    let text = '';
    channel.sink = {
      data: (bytes) => void (text += Buffer.from(bytes).toString('latin1')),
      end: () => channel.shutdown(),
      writable() {},
      close: ({ kind }) => resolve({ text, why: kind }),
    };
    channel.flow(true);
  });
}

/** The reason that the channel closes with. */
export function closing(channel: Channel): Promise<string> {
  return new Promise((resolve) => {
    channel.sink = { data() {}, end() {}, writable() {}, close: ({ kind }) => resolve(kind) };
  });
}

/** The hash of all that comes until the peer's end. */
export function digest(channel: Channel, flow: boolean): Promise<string> {
  return new Promise((resolve) => {
    const hash = createHash('sha1');
    channel.sink = {
      data: (bytes) => void hash.update(bytes),
      end: () => channel.destroy('flush'),
      writable() {},
      close: ({ kind }) => resolve(kind === 'closed' ? hash.digest('hex') : kind),
    };
    channel.flow(flow);
  });
}

/**
 * Whether the loop of this thread sleeps when it has nothing to do: the least turns that it makes in 50 milliseconds, of some tries.
 * What spins for a reason of its own, as V8 does when threads of its garbage collection get no processor, is over some time.
 */
export async function leastTurns(): Promise<number> {
  let least = Infinity;
  for (let tries = 0; tries < 20 && least > 20; tries++) {
    const before = performance.nodeTiming.uvMetricsInfo.loopCount;
    await new Promise((resolve) => setTimeout(resolve, 50));
    least = Math.min(least, performance.nodeTiming.uvMetricsInfo.loopCount - before);
  }
  return least;
}

/**
 * How a server under test talks to the harness, the same for all of them: it prints `PORT n` when it listens, followed by the ids of its
 * other processes if it has any, answers
 * the line `mem` on its input with its memory after garbage collection, and ends when its input ends, so that it
 * cannot outlive the harness.
 */

/** The port to listen on: PORT, or any. */
export const port: number = Number(process.env.PORT ?? 0);

/** The backend to use: TRANSPORT, `node` (the default) or `native`. */
export function transportName(): 'node' | 'native' {
  const name = process.env.TRANSPORT ?? 'node';
  if (name === 'node' || name === 'native') return name;
  throw new Error(`TRANSPORT has to be node or native, not ${name}`);
}

/** The port of what a server says it is bound to, which has to be TCP. */
export function portOf(address: object | string | null | undefined): number {
  if (typeof address === 'object' && address !== null && 'port' in address && typeof address.port === 'number') {
    return address.port;
  }
  throw new Error('a TCP server has a port');
}

/** How many threads or processes are to serve: WORKERS, or 2. */
export const workers: number = Number(process.env.WORKERS ?? 2);

/** Says where the server listens and what other processes are part of it, and begins to serve the harness. */
export function announce(listening: number, others: readonly number[] = []): void {
  process.stdin.setEncoding('utf8');
  let line = '';
  process.stdin.on('data', (text: string) => {
    const lines = (line + text).split('\n');
    line = lines.pop() ?? '';
    for (const one of lines) if (one === 'mem') void tellMemory();
  });
  process.stdin.on('end', () => process.exit(0));
  process.stdout.write(`PORT ${[listening, ...others].join(' ')}\n`);
}

/** The collector of Bun, which needs no option. */
function bunCollect(): void {
  const { Bun } = globalThis as { Bun?: { gc(wait: boolean): void } };
  if (Bun === undefined) throw new Error('start this server with --expose-gc to ask for its memory');
  Bun.gc(true);
}

async function tellMemory(): Promise<void> {
  const { gc = bunCollect } = globalThis;
  // What a first collection finds unreachable may be freed, or finalised, in a later turn only.
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((done) => setTimeout(done, 20));
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  process.stdout.write(`MEM ${JSON.stringify({ heapUsed, external, arrayBuffers })}\n`);
}

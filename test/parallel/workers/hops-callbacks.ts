import { isPortsideError } from '../../../src/base/errors.ts';
import { lines } from '../../../src/codec/lines.ts';
import type { Connection } from '../../../src/net/connection.ts';
import { defineHandler } from '../../../src/server/define-handler.ts';
import type { Handler } from '../../../src/server/handler.ts';
import { thisWorker } from '../../../src/parallel/receive-connections.ts';
import { workerData } from 'node:worker_threads';

/** Connections that are being handed over, or are gone, and how often callbacks were called for them since. */
const going = new Map<Connection, number>();
const me = thisWorker()!.index;

async function go(conn: Connection, to: number): Promise<void> {
  going.set(conn, 0);
  try {
    await conn.handOver(to, me);
    if (going.get(conn) !== 0) throw new RangeError('called for what is gone');
  } catch (error) {
    if (error instanceof RangeError) throw error;
    going.delete(conn);
    void conn.write(`${isPortsideError(error) ? error.code : String(error)}\n`);
  }
}

function hear(conn: Connection, text: string): void {
  const calls = going.get(conn);
  if (calls !== undefined) going.set(conn, calls + 1);
  const [command, argument] = text.split(' ');
  switch (command) {
    case 'go':
      // What it throws is nobody's, and ends the worker.
      void go(conn, Number(argument));
      return;
    case 'spin': {
      const gate = new Int32Array((workerData as { gate: SharedArrayBuffer }).gate);
      Atomics.store(gate, 0, 1);
      Atomics.wait(gate, 1, 0);
      if (argument === 'exit') process.exit(3);
      return;
    }
    default:
      void conn.write(`${me} ${text}\n`);
  }
}

const over = (conn: Connection, reason: { kind: string }): void => {
  if (going.has(conn) && reason.kind !== 'released') throw new Error(`it is over by ${reason.kind}`);
};

// In pieces that are lines, as its client waits for each.
const bytes = defineHandler({
  open: (conn: Connection) => (conn.handedOver === null ? undefined : void conn.write(`opened at ${me}\n`)),
  data: (conn: Connection, chunk: Uint8Array) => hear(conn, Buffer.from(chunk).toString().trimEnd()),
  close: over,
});

const frames = defineHandler(lines(), {
  open: (conn: Connection) => (conn.handedOver === null ? undefined : void conn.write(`opened at ${me}\n`)),
  frame: hear,
  close: over,
});

/** Which shape the handler has. */
export interface CallbackData {
  readonly shape: 'bytes' | 'frames';
  /** Where the first number says that a worker stands still, until the second is set. */
  readonly gate?: SharedArrayBuffer;
}

const chosen: Handler<never> = (workerData as CallbackData).shape === 'bytes' ? bytes : frames;

export default chosen;

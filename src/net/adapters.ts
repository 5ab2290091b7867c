import { ReadableStream, WritableStream } from 'node:stream/web';
import type { Connection } from './connection.ts';

/** The two sides of a connection as Web Streams. */
export interface WebStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array | string>;
}

/** Resolves when the bytes are with the kernel: who writes to a stream may use its buffer again then, as it may not after `write` alone. */
async function sent(connection: Connection, written: Promise<void>): Promise<void> {
  await written;
  await connection.flushed();
}

export function webStreams(connection: Connection): WebStreams {
  let cancelled = false;
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await connection.read();
        if (cancelled) return;
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
      cancel() {
        cancelled = true;
        connection.closeRead();
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array | string>({
    async write(chunk) {
      try {
        await sent(connection, connection.write(chunk));
      } catch (error) {
        // A stream that failed takes no end any more, so nobody could end the connection's output in order.
        connection.abort(error);
        throw error;
      }
    },
    async close() {
      await connection.closeWrite();
    },
    abort(reason) {
      connection.abort(reason);
    },
  });
  return { readable, writable };
}

import { Duplex } from 'node:stream';
import { ReadableStream, WritableStream } from 'node:stream/web';
import { closeError } from './close-reason.ts';
import type { Connection } from './connection.ts';

/** The two sides of a connection as Web Streams. */
export interface WebStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array | string>;
}

const ignore = (): void => {};

/** Resolves when the bytes are with the kernel: who writes to a stream may use its buffer again then, as it may not after `write` alone. */
async function sent(connection: Connection, written: Promise<void>): Promise<void> {
  await written;
  await connection.flushed();
}

export function nodeStream(connection: Connection): Duplex {
  const stream = new Duplex({
    allowHalfOpen: true,
    // The connection queues with limits of its own; a second full buffer here would only hide its back-pressure.
    highWaterMark: 1,
    decodeStrings: true,
    read() {
      connection.read().then(
        (bytes) => stream.push(bytes),
        (error: unknown) => stream.destroy(error as Error),
      );
    },
    write(chunk: Uint8Array, _encoding, callback) {
      sent(connection, connection.write(chunk)).then(() => callback(), callback);
    },
    writev(pieces, callback) {
      const chunks = pieces.map(({ chunk }) => chunk as Uint8Array);
      sent(connection, connection.writev(chunks)).then(() => callback(), callback);
    },
    final(callback) {
      connection.closeWrite().then(() => callback(), callback);
    },
    destroy(error, callback) {
      if (error === null) void connection.close();
      else connection.abort(error);
      callback(error);
    },
  });
  // An 'error' that nobody listens for would end the process, and a peer's reset must not. Whoever does listen hears it all the same.
  stream.on('error', ignore);
  void connection.closed.then((reason) => {
    // After an end in order there may be bytes to read yet; the stream ends by itself behind them.
    if (reason.kind !== 'ended') stream.destroy(closeError(reason, 'stream', {}));
  });
  return stream;
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

import { Duplex } from 'node:stream';
import { ReadableStream, WritableStream } from 'node:stream/web';
import { closeError } from './close-reason.ts';
import type { CloseReason } from './close-reason.ts';
import type { Connection } from './connection.ts';

/** The two sides of a connection as Web Streams. */
export interface WebStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array | string>;
}

function failure(reason: CloseReason): Error | null {
  if (reason.kind === 'ended' || reason.kind === 'closed') return null;
  return closeError(reason, 'stream', {});
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
      connection.write(chunk).then(() => callback(), callback);
    },
    writev(pieces, callback) {
      connection.writev(pieces.map(({ chunk }) => chunk as Uint8Array)).then(() => callback(), callback);
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
  void connection.closed.then((reason) => {
    const error = failure(reason);
    if (error !== null) stream.destroy(error);
  });
  return stream;
}

export function webStreams(connection: Connection): WebStreams {
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await connection.read();
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
      cancel() {
        connection.closeRead();
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array | string>({
    async write(chunk) {
      await connection.write(chunk);
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

import { copyOf } from '../transport/own-bytes.ts';
import type { Connection } from './connection.ts';
import type { Consumer } from './consumer.ts';

/** The memory that is lent to a consumer which is being called, or null. */
let lent: ArrayBufferLike | null = null;

/** Gives a consumer what was read: as it is, when it is nobody else's or the consumer borrows, else a copy. */
export function give(consumer: Consumer, connection: Connection, bytes: Uint8Array, borrowed: boolean): void {
  if (!borrowed) consumer.data(connection, bytes);
  else if (consumer.borrows !== true) consumer.data(connection, copyOf(bytes));
  else {
    lent = bytes.buffer;
    try {
      consumer.data(connection, bytes);
    } finally {
      lent = null;
    }
  }
}

/** Bytes that may be kept: a copy of what a consumer that is being called has borrowed, and all others as they are. */
export function ownOf(bytes: Uint8Array): Uint8Array {
  return lent !== null && bytes.buffer === lent ? copyOf(bytes) : bytes;
}

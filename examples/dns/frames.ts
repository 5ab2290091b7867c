const LENGTH = 2;

/** A message as it goes over TCP: behind its length (RFC 1035 section 4.2.2). */
export function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LENGTH + message.length);
  new DataView(bytes.buffer).setUint16(0, message.length);
  bytes.set(message, LENGTH);
  return bytes;
}

/**
 * Reads messages by credit: of a connection that gives exactly as many bytes as there is credit for, the length is asked
 * for first, and then what is that long. So nothing has to be put together or taken apart.
 */
export class FrameReader {
  readonly #credit: (amount: number) => void;
  #state: 'idle' | 'length' | 'message' = 'idle';

  constructor(credit: (amount: number) => void) {
    this.#credit = credit;
  }

  /** Asks for the next message, unless that is done already. */
  next(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'length';
    this.#credit(LENGTH);
  }

  /** What came. Gives a message that is complete, empty perhaps; before the one after it is asked for, nothing comes. */
  take(bytes: Uint8Array): Uint8Array | null {
    if (this.#state !== 'length') {
      this.#state = 'idle';
      return bytes;
    }
    // Less than there was credit for is what came before the end.
    const length = bytes.length < LENGTH ? 0 : ((bytes[0] as number) << 8) | (bytes[1] as number);
    if (length === 0) {
      this.#state = 'idle';
      return new Uint8Array();
    }
    this.#state = 'message';
    this.#credit(length);
    return null;
  }
}

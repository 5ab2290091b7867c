import type { Writable } from 'node:stream';

/** A stream that is written with back-pressure, by several at a time, and whose reader may go. */
export class Output {
  /** Resolves when nobody reads it any more. */
  readonly gone: Promise<void>;
  readonly #stream: Writable;
  #isGone = false;
  #room: PromiseWithResolvers<void> | null = null;

  constructor(stream: Writable) {
    this.#stream = stream;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    const gone = (): void => {
      this.#isGone = true;
      this.#room?.resolve();
      resolve();
    };
    stream.on('error', gone);
    stream.on('close', gone);
    stream.on('drain', () => {
      this.#room?.resolve();
      this.#room = null;
    });
  }

  /** Resolves when there is room for more, or nobody reads. */
  async write(text: Uint8Array | string | null): Promise<void> {
    if (text === null || this.#isGone) return;
    if (this.#stream.write(text)) return;
    this.#room ??= Promise.withResolvers<void>();
    await this.#room.promise;
  }

  /** Resolves when everything is written, or nobody reads. */
  async flushed(): Promise<void> {
    if (this.#isGone) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.write('', () => resolve());
    await Promise.race([promise, this.gone]);
  }
}

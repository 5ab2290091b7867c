import type { Writable } from 'node:stream';

/** Bytes that wait to be taken, at most. */
const MOST = 8_388_608;

/** Writes lines to a stream that may not take them: what waits is bounded, and lines beyond that are counted. It never blocks where the stream does not. */
export class LogOutput {
  readonly #stream: Writable;
  readonly #most: number;
  readonly #room: (lost: number) => void;
  #lost = 0;

  /** `room` gets the number of lines that were lost when there is room again. `most`: bytes that may wait. */
  constructor(stream: Writable, room: (lost: number) => void, most: number = MOST) {
    this.#stream = stream;
    this.#room = room;
    this.#most = most;
    stream.on('drain', () => this.#tellLost());
    // Whoever reads it may go; whoever is served stays.
    stream.on('error', () => {});
  }

  write(text: string): void {
    const { writableLength } = this.#stream;
    // What is longer than all the room there may be goes where nothing waits.
    if (writableLength > 0 && writableLength + text.length > this.#most) {
      this.#lost += 1;
      return;
    }
    this.#tellLost();
    this.#stream.write(text);
  }

  #tellLost(): void {
    const lost = this.#lost;
    this.#lost = 0;
    if (lost > 0) this.#room(lost);
  }
}

/** How many have a message before them still. A driver reads on when all that it sent was taken. */
export class Receipt {
  #pending = 0;
  #sent = false;
  readonly #onTaken: () => void;
  /** What is told when it is sent, unless a participant is given it before that. */
  #onMissed: (() => void) | undefined;

  /**
   * `onTaken` is called once, when the message was sent and nobody has it before them any more; `onMissed` in its place, when
   * it is sent, where it was for no participant. They must not throw.
   */
  constructor(onTaken: () => void, onMissed?: () => void) {
    this.#onTaken = onTaken;
    this.#onMissed = onMissed;
  }

  /** One more has it before them: one that takes part, or one that only watches. */
  given(takesPart: boolean): void {
    this.#pending += 1;
    if (takesPart && !this.#sent) this.#onMissed = undefined;
  }

  /** One has dealt with it, or is gone. */
  taken(): void {
    this.#pending -= 1;
    this.#settle();
  }

  /** Everybody that it is for has been given it. */
  sent(): void {
    this.#sent = true;
    if (this.#onMissed === undefined) this.#settle();
    else this.#onMissed();
  }

  #settle(): void {
    if (this.#sent && this.#pending === 0 && this.#onMissed === undefined) this.#onTaken();
  }
}

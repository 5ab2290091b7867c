/** How many have a message before them still. A driver reads on when all that it sent was taken. */
export class Receipt {
  #pending = 0;
  #sent = false;
  readonly #onTaken: () => void;

  /** `onTaken` is called once, when the message was sent and nobody has it before them any more. It must not throw. */
  constructor(onTaken: () => void) {
    this.#onTaken = onTaken;
  }

  /** One more has it before them. */
  given(): void {
    this.#pending += 1;
  }

  /** One has dealt with it, or is gone. */
  taken(): void {
    this.#pending -= 1;
    this.#settle();
  }

  /** Everybody that it is for has been given it. */
  sent(): void {
    this.#sent = true;
    this.#settle();
  }

  #settle(): void {
    if (this.#sent && this.#pending === 0) this.#onTaken();
  }
}

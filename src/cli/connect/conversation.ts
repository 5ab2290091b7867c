import { isPortsideError, systemCode } from '../../base/errors.ts';
import type { PortsideError } from '../../base/errors.ts';
import { closeError } from '../../net/close-reason.ts';
import type { CloseReason } from '../../net/close-reason.ts';
import type { Connection } from '../../net/connection.ts';
import type { TimerHandle } from '../../sync/clock.ts';
import { currentClock } from '../../sync/scope.ts';
import { formatAddress } from '../../transport/address.ts';
import { CrlfEncoder } from './crlf.ts';
import { Output } from './output.ts';
import type { Plan } from './plan.ts';
import type { Streams } from './streams.ts';
import { viewOf } from './view.ts';
import type { View } from './view.ts';

/** How a conversation ended. */
export type Ending =
  /** Both sides ended in order. */
  | { readonly kind: 'ended' }
  /** One side had ended, and the other did not within `--wait`. */
  | { readonly kind: 'waited' }
  /** By a signal. */
  | { readonly kind: 'called-off' }
  /** Whoever read the output has gone. */
  | { readonly kind: 'unread' }
  /** The input could not be read to its end. */
  | { readonly kind: 'unreadable'; readonly error: unknown }
  /** The connection did not last. `cut`: the input was not sent to its end. */
  | { readonly kind: 'broke'; readonly error: PortsideError; readonly cut: boolean };

/** Milliseconds that the server has for its end when this side does not want more. */
const PARTING = 1_000;

/** Standard input to a connection, and the connection to standard output, until both have ended or somebody calls it off. */
export class Conversation {
  /** The first bytes that came, three at most. */
  first: Uint8Array = new Uint8Array(0);
  readonly #conn: Connection;
  readonly #plan: Pick<Plan, 'crlf' | 'halfClose' | 'wait' | 'showing'>;
  readonly #streams: Streams;
  readonly #view: View;
  readonly #output: Output;
  readonly #left = Promise.withResolvers<void>();
  /** Why it is ended from this side. */
  #leaving: Exclude<Ending, { kind: 'ended' | 'broke' }> | null = null;
  #calledOff = false;
  #inputEnded = false;
  /** Resolves when what is not written yet is given up. */
  readonly #givenUp = Promise.withResolvers<void>();
  #timer: TimerHandle | null = null;

  constructor(conn: Connection, plan: Pick<Plan, 'crlf' | 'halfClose' | 'wait' | 'showing'>, streams: Streams) {
    this.#conn = conn;
    this.#plan = plan;
    this.#streams = streams;
    const { inputIsTerminal, outputIsTerminal } = streams;
    this.#view = viewOf(plan.showing, { terminal: outputIsTerminal, echoes: inputIsTerminal });
    this.#output = new Output(streams.output);
  }

  /** Ends it in order; called again, at once. */
  callOff(): void {
    if (this.#calledOff) {
      this.#conn.abort();
      this.#givenUp.resolve();
      return;
    }
    this.#calledOff = true;
    this.#leave({ kind: 'called-off' });
    // Whoever reads the output may be the one that hangs.
    this.#timer?.cancel();
    this.#timer = currentClock().after(PARTING, () => this.#givenUp.resolve());
  }

  /** Resolves when it is over and all is written. */
  async run(): Promise<Ending> {
    const conn = this.#conn;
    void this.#output.gone.then(() => this.#leave({ kind: 'unread' }));
    const sending = this.#send();
    const received = this.#receive();
    await Promise.race([received, this.#left.promise]);
    // Whoever types would have to type once more to see that it is over; a file is wanted to its end by a server that may still read.
    if (this.#leaving === null && conn.closeReason === null && !this.#streams.inputIsTerminal) {
      this.#await();
      await Promise.race([sending, conn.closed, this.#left.promise]);
    }
    const reason = await (this.#leaving === null ? conn.close() : conn.close({ linger: PARTING }));
    this.#streams.input.destroy();
    await Promise.race([received.then(() => this.#finish()), this.#givenUp.promise]);
    this.#timer?.cancel();
    return this.#endingOf(reason);
  }

  async #finish(): Promise<void> {
    await this.#output.write(this.#view.rest());
    await this.#output.flushed();
  }

  #leave(why: Exclude<Ending, { kind: 'ended' | 'broke' }>): void {
    if (this.#leaving !== null) return;
    this.#leaving = why;
    this.#left.resolve();
  }

  async #send(): Promise<void> {
    const conn = this.#conn;
    const { crlf, halfClose } = this.#plan;
    const encoder = crlf ? new CrlfEncoder() : null;
    try {
      for await (const chunk of this.#streams.input as AsyncIterable<Uint8Array>) {
        const bytes = encoder === null ? chunk : encoder.encode(chunk);
        await this.#output.write(this.#view.sent(bytes));
        await conn.write(bytes);
      }
    } catch (error) {
      // What ended the connection is told by the connection.
      if (!isPortsideError(error) && systemCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE')
        this.#leave({ kind: 'unreadable', error });
      return;
    }
    this.#inputEnded = true;
    if (halfClose) conn.closeWrite().catch(() => {});
    this.#await();
  }

  /** One side has ended: the other has so long for its end. */
  #await(): void {
    const { wait } = this.#plan;
    if (wait === Infinity || this.#timer !== null || this.#leaving !== null) return;
    this.#timer = currentClock().after(wait, () => this.#leave({ kind: 'waited' }));
  }

  async #receive(): Promise<void> {
    try {
      for await (const bytes of this.#conn) {
        if (this.first.length === 0) this.first = bytes.slice(0, 3);
        await this.#output.write(this.#view.received(bytes));
      }
    } catch (error) {
      // As above.
      if (!isPortsideError(error)) throw error;
    }
  }

  #endingOf(reason: CloseReason): Ending {
    if (this.#leaving !== null) return this.#leaving;
    if (reason.kind === 'ended' || reason.kind === 'closed') return { kind: 'ended' };
    const { local, remote } = this.#conn;
    const detail = { local: formatAddress(local), remote: formatAddress(remote) };
    const cut = !this.#inputEnded && !this.#streams.inputIsTerminal;
    return { kind: 'broke', error: closeError(reason, 'connect', detail), cut };
  }
}

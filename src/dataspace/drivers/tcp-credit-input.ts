import type { PortsideError } from '../../base/errors.ts';
import { ByteQueue } from '../../codec/byte-queue.ts';
import { tcpCredit, tcpMode } from './tcp-channel.ts';
import { misuse } from './tcp-failure.ts';
import type { TcpInput } from './tcp-input.ts';

const LF = 10;
const CR = 13;

/** The limits of credit. */
export interface TcpCreditLimits {
  /** What credit may add up to. */
  readonly credit: number;
  /** The longest line, in bytes, its ending left out. */
  readonly line: number;
}

/** Sends no more than there is credit for: so many bytes in one message, or so many lines. */
export class TcpCreditInput implements TcpInput {
  readonly #out: TcpInput;
  readonly #limits: TcpCreditLimits;
  readonly #fail: (error: PortsideError) => void;
  readonly #queue = new ByteQueue();
  #mode: 'bytes' | 'lines' = 'bytes';
  #credit = 0;
  #ended = false;
  /** Whether what came last was not looked at for lines yet. */
  #fresh = false;
  /** How far it was looked, and no end of a line was found. */
  #seen = 0;

  /** `out`: what sends the messages; `fail` ends the connection. */
  constructor(out: TcpInput, limits: TcpCreditLimits, fail: (error: PortsideError) => void) {
    this.#out = out;
    this.#limits = limits;
    this.#fail = fail;
  }

  get wants(): boolean {
    if (this.#mode === 'lines') return this.#credit > 0 && !this.#fresh;
    return this.#credit > this.#queue.length;
  }

  get empty(): boolean {
    return this.#queue.length === 0 && this.#out.empty;
  }

  push(bytes: Uint8Array): void {
    this.#queue.append(bytes);
    this.#fresh = true;
  }

  end(): void {
    this.#ended = true;
  }

  deliver(): boolean {
    this.#fresh = false;
    while (this.#credit > 0 && this.#queue.length > 0) {
      const message = this.#mode === 'bytes' ? this.#takeBytes() : this.#takeLine();
      if (message === null) break;
      this.#out.push(message);
    }
    return this.#out.deliver();
  }

  control(body: unknown): PortsideError | null {
    if (tcpMode.is(body)) return this.#setMode(body.mode);
    if (tcpCredit.is(body)) return this.#add(body.amount);
    return misuse('ERR_PORTSIDE_STATE', 'only tcpCredit and tcpMode can be fed back to a connection');
  }

  #setMode(mode: unknown): PortsideError | null {
    if (mode !== 'bytes' && mode !== 'lines')
      return misuse('ERR_PORTSIDE_OPTIONS', 'the mode must be "bytes" or "lines"');
    this.#mode = mode;
    this.#credit = 0;
    this.#seen = 0;
    return null;
  }

  #add(amount: unknown): PortsideError | null {
    if (!Number.isSafeInteger(amount) || (amount as number) < 0)
      return misuse('ERR_PORTSIDE_OPTIONS', 'credit must be a whole number, 0 or more');
    const { credit } = this.#limits;
    this.#credit += amount as number;
    if (this.#credit <= credit) return null;
    return misuse('ERR_PORTSIDE_LIMIT', `credit adds up to ${this.#credit}, and the limit is ${credit}`);
  }

  #takeBytes(): Uint8Array | null {
    const amount = this.#queue.length < this.#credit && this.#ended ? this.#queue.length : this.#credit;
    if (this.#queue.length < amount) return null;
    this.#credit = 0;
    return this.#queue.take(amount);
  }

  #takeLine(): Uint8Array | null {
    const queue = this.#queue;
    const at = queue.indexOf(LF, this.#seen);
    const whole = at < 0 ? queue.length : at;
    const cut = at > 0 && queue.byteAt(at - 1) === CR ? 1 : 0;
    // Where no end was found the last byte may be the CR before it.
    if (whole - (at < 0 ? 1 : cut) > this.#limits.line) {
      this.#fail(misuse('ERR_PORTSIDE_FRAME_TOO_LONG', `a line is longer than ${this.#limits.line} bytes`));
      return null;
    }
    this.#seen = queue.length;
    if (at < 0 && !this.#ended) return null;
    this.#seen = 0;
    this.#credit -= 1;
    if (at < 0) return queue.takeAll();
    const line = queue.take(at - cut);
    queue.skip(cut + 1);
    return line;
  }
}

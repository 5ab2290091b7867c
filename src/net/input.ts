import { PortsideError } from '../base/errors.ts';
import { ByteQueue } from '../codec/byte-queue.ts';
import { more } from '../codec/codec.ts';
import type { Decoder } from '../codec/codec.ts';
import { Deadline } from '../sync/deadline.ts';
import { none } from '../sync/evt.ts';
import { inputError } from './link-errors.ts';
import type { Link } from './link.ts';

/** Tries to take something from what has been read; `none` when more is needed. `ended`: nothing more will come. May throw, and then has taken nothing. */
type Attempt<T> = (queue: ByteQueue, ended: boolean) => T | typeof none;

/** How long a read may wait. */
export interface ReadOptions {
  /** Calls the read off; it rejects with `signal.reason` and loses no bytes. */
  signal?: AbortSignal | undefined;
  /** Milliseconds after which it rejects with ERR_PORTSIDE_TIMEOUT; no bytes are lost. @default none */
  timeout?: number | undefined;
}

const ignore = (): void => {};

/** The end of the promise that was made last: one function keeps it for all reads, as each chunk of an iteration makes a promise. */
let parked: ((value: never) => void) | null = null;
const park = (resolve: (value: never) => void): void => {
  parked = resolve;
};

/** What bounds a wait. */
interface Bounds {
  options: ReadOptions | null;
  deadline: Deadline | null;
  onAbort: (() => void) | null;
}

type Waiting = 'nobody' | 'iterator' | 'chunk' | 'attempt';

/** The reading side of a connection that is read by asking. Made at the first read. */
export class Input {
  readonly #link: Link;
  #queue: ByteQueue | null = null;
  #waiting: Waiting = 'nobody';
  #max = Infinity;
  #attempt: Attempt<unknown> | null = null;
  /** Settles what whoever waits was given; with an error by a promise that is rejected, so that a connection that is parked keeps one function and not two. */
  #resolve: ((value: never) => void) | null = null;
  /** What whoever waits was given. */
  #promise: Promise<unknown> | null = null;
  #bounds: Bounds | null = null;
  #watchers: Set<() => void> | null = null;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Bytes that were read and nobody took. */
  get length(): number {
    return this.#queue === null ? 0 : this.#queue.length;
  }

  /** Whether somebody waits for bytes. */
  get busy(): boolean {
    return this.#waiting !== 'nobody';
  }

  /** Whether somebody waits for bytes, by a read or by an event. */
  get awaited(): boolean {
    return this.#waiting !== 'nobody' || (this.#watchers !== null && this.#watchers.size > 0);
  }

  /** Takes what arrived; the bytes are ours. */
  push(bytes: Uint8Array): void {
    if (this.length === 0) {
      if (this.#waiting === 'iterator') {
        // An iterator waits without signal or time: there is nothing else to settle.
        const resolve = this.#resolve!;
        this.#waiting = 'nobody';
        this.#resolve = null;
        this.#promise = null;
        resolve({ value: bytes, done: false } as never);
        return;
      }
      if (this.#waiting === 'chunk' && bytes.length <= this.#max) {
        this.#settle()!(bytes as never);
        return;
      }
    }
    this.#bytes().append(bytes);
    if (this.#waiting !== 'nobody') this.#retry();
    else if (this.length >= this.#link.settings.readAhead) this.#link.pauseInput();
    this.#wake();
  }

  /** The input ended, failed or was closed; whoever waits has to learn it. */
  finish(): void {
    if (this.#waiting !== 'nobody') this.#retry();
    this.#wake();
  }

  unread(bytes: Uint8Array): void {
    // Whoever waits has looked at what was there; bytes put in front of it would not be seen.
    if (this.#waiting !== 'nobody') throw this.#busyError();
    if (bytes.length === 0) return;
    this.#bytes().unshift(bytes);
    this.#wake();
  }

  /** All that was read and not taken, for another owner. */
  takeAll(): Uint8Array[] {
    const chunks: Uint8Array[] = [];
    while (this.length > 0) chunks.push(this.#queue!.takeChunk());
    return chunks;
  }

  /** Forgets what was read and not taken. */
  discard(): void {
    this.#queue = null;
  }

  /** One chunk as it came, at most `max` bytes; null at the end. */
  read(max: number, options: ReadOptions | null): Promise<Uint8Array | null> {
    if (this.#waiting !== 'nobody') return Promise.reject(this.#busyError());
    if (this.length > 0) return Promise.resolve(this.#chunk(max));
    if (this.#link.inputOver) return this.#over(null);
    this.#max = max;
    return this.#wait<Uint8Array | null>('chunk', options);
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#waiting !== 'nobody') return Promise.reject(this.#busyError());
    if (this.length > 0) return Promise.resolve({ value: this.#chunk(Infinity), done: false });
    if (this.#link.inputOver) return this.#over({ value: undefined, done: true });
    this.#waiting = 'iterator';
    this.#link.awaitInput();
    const promise = new Promise<IteratorResult<Uint8Array, undefined>>(park);
    this.#resolve = parked;
    this.#promise = promise;
    return promise;
  }

  /** Waits until `attempt` gives something. */
  until<T>(attempt: Attempt<T>, options: ReadOptions | null): Promise<T> {
    if (this.#waiting !== 'nobody') return Promise.reject(this.#busyError());
    try {
      const value = this.#try(attempt);
      if (value !== none) return Promise.resolve(value);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#attempt = attempt;
    return this.#wait<T>('attempt', options);
  }

  nextFrame<T>(decoder: Decoder<T>): Promise<IteratorResult<T, undefined>> {
    return this.until<IteratorResult<T, undefined>>((queue, ended) => {
      let frame = queue.length > 0 ? decoder.decode(queue) : more;
      if (frame === more && ended) frame = decoder.end(queue);
      if (frame !== more) return { value: frame, done: false };
      return ended ? { value: undefined, done: true } : none;
    }, null);
  }

  /** What a read would give now, or `none`: the taking half of `readEvt`. */
  take(): Uint8Array | null | typeof none {
    if (this.#waiting !== 'nobody') return none;
    if (this.length > 0) return this.#chunk(Infinity);
    if (!this.#link.inputOver) return none;
    const error = inputError(this.#link, 'read');
    if (error !== null) throw error;
    return null;
  }

  watch(wake: () => void): () => void {
    this.#watchers ??= new Set();
    this.#watchers.add(wake);
    this.#link.awaitInput();
    return () => {
      this.#watchers?.delete(wake);
    };
  }

  #bytes(): ByteQueue {
    this.#queue ??= new ByteQueue();
    return this.#queue;
  }

  #chunk(max: number): Uint8Array {
    const chunk = this.#queue!.takeChunk(max);
    if (this.length < this.#link.settings.readAhead) this.#link.resumeInput();
    return chunk;
  }

  #over<T>(atEnd: T): Promise<T> {
    const error = inputError(this.#link, 'read');
    return error === null ? Promise.resolve(atEnd) : Promise.reject(error);
  }

  #busyError(): PortsideError {
    return new PortsideError(
      'ERR_PORTSIDE_READ_BUSY',
      'another read is waiting on this connection; read from one place at a time',
      {
        op: 'read',
      },
    );
  }

  #wait<T>(waiting: Waiting, options: ReadOptions | null): Promise<T> {
    this.#waiting = waiting;
    const promise = new Promise<T>(park);
    this.#resolve = parked;
    this.#promise = promise;
    if (options !== null) this.#bound(options);
    this.#link.awaitInput();
    return promise;
  }

  #bound(options: ReadOptions): void {
    const { signal, timeout } = options;
    if (signal === undefined && timeout === undefined) return;
    this.#bounds ??= { options: null, deadline: null, onAbort: null };
    const bounds = this.#bounds;
    bounds.options = options;
    if (timeout !== undefined) {
      bounds.deadline ??= new Deadline(this.#link.clock, () => {
        this.#refuse(
          new PortsideError(
            'ERR_PORTSIDE_TIMEOUT',
            `nothing to read came within ${bounds.options?.timeout ?? 0} ms`,
            this.#link.detail('read'),
          ),
        );
      });
      bounds.deadline.arm(timeout);
    }
    if (signal === undefined) return;
    bounds.onAbort = () => this.#refuse(signal.reason);
    if (signal.aborted) bounds.onAbort();
    else signal.addEventListener('abort', bounds.onAbort, { once: true });
  }

  /** Whoever waits learns of an error. Who began a read and is still at something else, or will never look, must not end the process by it. */
  #refuse(error: unknown): void {
    this.#promise?.catch(ignore);
    const resolve = this.#settle();
    if (resolve !== null) resolve(Promise.reject(error) as never);
  }

  /** Ends the waiting and hands out who waited. */
  #settle(): ((value: never) => void) | null {
    const resolve = this.#resolve;
    if (resolve === null) return null;
    this.#waiting = 'nobody';
    this.#attempt = null;
    this.#resolve = null;
    this.#promise = null;
    const bounds = this.#bounds;
    if (bounds !== null && bounds.options !== null) {
      if (bounds.onAbort !== null) bounds.options.signal?.removeEventListener('abort', bounds.onAbort);
      bounds.deadline?.disarm();
      bounds.onAbort = null;
      bounds.options = null;
    }
    return resolve;
  }

  #try<T>(attempt: Attempt<T>): T | typeof none {
    const over = this.#link.inputOver;
    const queue = this.#bytes();
    const error = over ? inputError(this.#link, 'read') : null;
    // What was read before a failure can still be taken, but an end that is none must not look like one.
    const value = attempt(queue, over && error === null);
    if (value === none && error !== null) throw error;
    if (!over && queue.length < this.#link.settings.readAhead) this.#link.resumeInput();
    return value;
  }

  #retry(): void {
    try {
      if (this.#waiting === 'attempt') {
        const value = this.#try(this.#attempt!);
        if (value !== none) this.#settle()?.(value as never);
        return;
      }
      const iterating = this.#waiting === 'iterator';
      if (this.length > 0) {
        const chunk = this.#chunk(iterating ? Infinity : this.#max);
        this.#settle()?.((iterating ? { value: chunk, done: false } : chunk) as never);
      } else if (this.#link.inputOver) {
        const error = inputError(this.#link, 'read');
        if (error !== null) throw error;
        this.#settle()?.((iterating ? { value: undefined, done: true } : null) as never);
      }
    } catch (error) {
      this.#refuse(error);
    }
  }

  #wake(): void {
    if (this.#watchers === null || this.#watchers.size === 0) return;
    for (const wake of [...this.#watchers]) wake();
  }
}

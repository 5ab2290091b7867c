import { PortsideError, systemCode } from '../base/errors.ts';
import { ByteQueue } from '../codec/byte-queue.ts';
import { deferred } from '../net/deferred.ts';
import type { ReadOptions } from '../net/input.ts';
import { lineOf } from '../net/reading.ts';
import { Deadline } from '../sync/deadline.ts';
import { none } from '../sync/evt.ts';
import { currentClock } from '../sync/scope.ts';
import { systemError } from '../transport/system-error.ts';

/** Bytes of standard input that are held for the next read, beside what Node's own stream holds. */
const READ_AHEAD = 65_536;
const LF = 10;

type Attempt<T> = (queue: ByteQueue, ended: boolean) => T | typeof none;

/**
 * The process's standard input, read as a connection is: by asking, one read at a time. It is opened by the first read that has to wait, and
 * keeps the process alive only while one waits. Not to be mixed with other readers of `process.stdin`.
 */
class StandardInput implements AsyncIterable<Uint8Array> {
  readonly #queue = new ByteQueue();
  #stream: NodeJS.ReadStream | null = null;
  #busy = false;
  /** Wakes the read that waits. */
  #wake: (() => void) | null = null;
  #ended = false;
  #failure: PortsideError | null = null;

  /** The next bytes as they came, at most `max`; `null` at the end. Fails with the system's error, once what had arrived was read. */
  async read(options?: ReadOptions & { max?: number | undefined }): Promise<Uint8Array | null> {
    const max = options?.max ?? Infinity;
    if (!(max >= 1))
      throw new PortsideError('ERR_PORTSIDE_OPTIONS', `read: max must be 1 or more, got ${String(max)}`, {
        op: 'read',
      });
    return this.#until('read', options, (queue, ended) => {
      if (queue.length > 0) return queue.takeChunk(max);
      return ended ? null : none;
    });
  }

  /** The next line as text, without its LF or CRLF; `null` at the end. More than `limit` bytes (65536 by default) without an ending: ERR_PORTSIDE_LIMIT, nothing consumed. */
  async readLine(options?: ReadOptions & { limit?: number | undefined }): Promise<string | null> {
    const limit = options?.limit ?? 65_536;
    let seen = 0;
    const line = await this.#until('readLine', options, (queue, ended) => {
      const at = queue.indexOf(LF, seen);
      if (at >= 0 && at < limit) return queue.take(at + 1);
      if (at >= 0 || queue.length > limit)
        throw new PortsideError('ERR_PORTSIDE_LIMIT', `no line ended within ${limit} bytes`, { op: 'readLine' });
      seen = queue.length;
      if (!ended) return none;
      return queue.length === 0 ? null : queue.takeAll();
    });
    return line === null ? null : lineOf(line);
  }

  /** Iterates over the bytes as they come, until the end. `break` leaves the rest unread. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined, undefined> {
    for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
  }

  async #until<T>(op: string, options: ReadOptions | undefined, attempt: Attempt<T>): Promise<T> {
    if (this.#busy) {
      const text = 'another read is waiting on the standard input; read from one place at a time';
      throw new PortsideError('ERR_PORTSIDE_READ_BUSY', text, { op });
    }
    const over = (): boolean => this.#ended && this.#failure === null;
    let value = attempt(this.#queue, over());
    if (value !== none) return value;
    this.#busy = true;
    const wait = new Wait(op, options, () => this.#wake?.());
    try {
      while (value === none) {
        if (this.#failure !== null) throw this.#failure;
        wait.check();
        await this.#more();
        value = attempt(this.#queue, over());
      }
      return value;
    } finally {
      wait.end();
      this.#busy = false;
      hold(this.#stream, false);
    }
  }

  /** Resolves when there is something to look at: bytes, the end, a failure, or that the wait was called off. */
  async #more(): Promise<void> {
    const stream = this.#open();
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      hold(stream, true);
      stream.resume();
    });
    this.#wake = null;
  }

  #open(): NodeJS.ReadStream {
    if (this.#stream !== null) return this.#stream;
    const stream = process.stdin;
    this.#stream = stream;
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    if (stream.readableEnded || stream.destroyed) end();
    stream.on('end', end).on('close', end);
    stream.on('error', (error) => {
      this.#failure ??= systemError('read', error, { local: 'the standard input' });
      end();
    });
    stream.on('data', (chunk: Uint8Array | string) => {
      this.#queue.append(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
      if (this.#queue.length >= READ_AHEAD) stream.pause();
      this.#wake?.();
    });
    return stream;
  }
}

/** Whether a stream keeps the process alive. Pausing it would not do: Node reads ahead on a paused one. One that is a file has no such choice, and needs none. */
function hold(stream: Partial<Pick<NodeJS.ReadStream, 'ref' | 'unref'>> | null, on: boolean): void {
  if (on) stream?.ref?.();
  else stream?.unref?.();
}

/** How long one read may wait. */
class Wait {
  readonly #signal: AbortSignal | undefined;
  readonly #deadline: Deadline | null = null;
  readonly #onAbort: () => void;
  #off: { readonly reason: unknown } | null = null;

  constructor(op: string, options: ReadOptions | undefined, wake: () => void) {
    const { signal, timeout } = options ?? {};
    const callOff = (reason: unknown): void => {
      this.#off ??= { reason };
      wake();
    };
    this.#onAbort = () => callOff(signal?.reason);
    this.#signal = signal;
    if (timeout !== undefined) {
      this.#deadline = new Deadline(currentClock(), () =>
        callOff(new PortsideError('ERR_PORTSIDE_TIMEOUT', `nothing to read came within ${timeout} ms`, { op })),
      );
      this.#deadline.arm(timeout);
    }
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Throws when the read was called off. */
  check(): void {
    if (this.#off !== null) throw this.#off.reason;
  }

  end(): void {
    this.#deadline?.disarm();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/**
 * The process's standard output. A write that fails (EPIPE, when who read it is gone) rejects, and neither that
 * nor the stream's own 'error' event ends the process, as it is with `console.log`; writers that don't go by this are not touched.
 */
class StandardOutput {
  readonly #pending = new Set<Promise<void>>();

  /** Writes bytes, or text as UTF-8. Resolves when they are with the kernel. What is not waited for is queued without a limit, as `console.log` does. */
  write(bytes: Uint8Array | string): Promise<void> {
    if (typeof bytes !== 'string' && !(bytes instanceof Uint8Array)) {
      throw new PortsideError('ERR_PORTSIDE_OPTIONS', 'write: what is written must be bytes (Uint8Array) or a string', {
        op: 'write',
      });
    }
    const written = deferred<void>();
    const { promise } = written;
    this.#pending.add(promise);
    const stream = process.stdout;
    stream.write(bytes, (error) => {
      this.#pending.delete(promise);
      if (error == null) return written.resolve();
      // The event follows this call; where nobody listens it would be an uncaught exception.
      if (stream.listenerCount('error') === 0) stream.once('error', () => {});
      written.reject(writeError(error));
    });
    return promise;
  }

  /** Resolves when everything that was written is with the kernel; rejects when some of it can't get there. */
  flushed(): Promise<void> {
    const all = deferred<void>();
    Promise.all(this.#pending).then(
      () => all.resolve(),
      (error: unknown) => all.reject(error),
    );
    return all.promise;
  }
}

function writeError(error: Error): PortsideError {
  if (systemCode(error) !== 'EPIPE') return systemError('write', error, { local: 'the standard output' });
  return new PortsideError('EPIPE', 'nobody reads the standard output any more', { op: 'write', cause: error });
}

/** The process's standard input and output. Making them opens nothing. */
export const standardInput: StandardInput = new StandardInput();
export const standardOutput: StandardOutput = new StandardOutput();

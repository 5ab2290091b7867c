import { Duplex } from 'node:stream';
import { PortsideError } from '../../base/errors.ts';
import type { Channel, ChannelEnd, Sink } from '../contract.ts';

type Done = (error?: Error | null) => void;

/**
 * A channel as a Node stream, for `node:tls` to run over where there is no socket. Pausing it turns the channel's flow off, so nothing
 * piles up here, and a write is done when the channel has none queued.
 */
export class ChannelStream extends Duplex {
  readonly #channel: Channel;
  /** How destroying it ends the channel. */
  #manner: 'drop' | 'reset' = 'drop';
  /** Waits until the channel has nothing queued. */
  #written: Done | null = null;
  /** Waits for the channel's close. */
  #gone: Done | null = null;
  #over = false;

  /** @param early What was read of the channel before; it comes first. */
  constructor(channel: Channel, early: readonly Uint8Array[]) {
    // It goes when the TLS socket does, which may have more to give when both directions have ended here.
    super({ autoDestroy: false });
    this.#channel = channel;
    channel.sink = this.#sink;
    for (const bytes of early) if (bytes.length > 0) this.push(Buffer.from(bytes));
  }

  override pause(): this {
    this.#channel.flow(false);
    return super.pause();
  }

  override resume(): this {
    if (!this.destroyed) this.#channel.flow(true);
    return super.resume();
  }

  /** Destroys it with a reset of the channel. */
  reset(): void {
    this.#manner = 'reset';
    if (this.destroyed) this.#channel.destroy('reset');
    else this.destroy();
  }

  override _read(): void {
    // What is read is pushed as it comes, while the stream is not paused.
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#channel.send(chunk);
    this.#whenSent(done);
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this.#channel.sendAll(chunks.map(({ chunk }) => chunk));
    this.#whenSent(done);
  }

  override _final(done: Done): void {
    this.#channel.shutdown();
    this.#whenSent(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    const written = this.#written;
    this.#written = null;
    written?.(error);
    if (this.#over) {
      done(error);
      return;
    }
    this.#gone = () => done(error);
    this.#channel.destroy(this.#manner);
  }

  #whenSent(done: Done): void {
    if (this.#over) {
      done(lost());
      return;
    }
    if (this.#channel.queued === 0 && !this.#channel.closed) {
      done();
      return;
    }
    this.#written = done;
    this.#channel.wantWritable();
  }

  readonly #sink: Sink = {
    data: (bytes, borrowed) => {
      if (this.destroyed) return;
      this.push(borrowed ? Buffer.from(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    },
    end: () => {
      if (!this.destroyed) this.push(null);
    },
    writable: () => {
      const written = this.#written;
      this.#written = null;
      written?.();
    },
    close: (end) => this.#closed(end),
  };

  #closed(end: ChannelEnd): void {
    this.#over = true;
    const error = 'error' in end ? end.error : null;
    const written = this.#written;
    this.#written = null;
    if (end.kind !== 'ended' && !this.destroyed) this.destroy(error ?? undefined);
    written?.(end.kind === 'ended' ? null : (error ?? lost()));
    const gone = this.#gone;
    this.#gone = null;
    gone?.();
  }
}

function lost(): PortsideError {
  return new PortsideError('EPIPE', 'the connection is closed', { op: 'write' });
}

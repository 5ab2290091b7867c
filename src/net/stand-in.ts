import type { Address } from '../transport/address.ts';
import type { Channel, ChannelEnd, Released, Sink, SocketOption } from '../transport/contract.ts';
import { deafSink } from '../transport/contract.ts';
import { PortsideError } from '../base/errors.ts';

/**
 * Stands in for a connection's channel while handshakes have the real one: keeps what is written and asked for until
 * {@link StandIn.openTo} hands it on.
 */
export class StandIn implements Channel, Sink {
  sink: Sink = deafSink;
  /** It is over: from above, in which way; or null, because the real channel is. Told before the sink is. */
  onGone: (how: 'drop' | 'reset' | null) => void = () => {};
  readonly #below: Channel;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #asked = false;
  #shut = false;
  #gone = false;
  /** Told when what was queued below before is with the kernel. */
  #drained: (() => void) | null = null;
  /** What was set meanwhile, for the channel to come. */
  #noDelay: SocketOption | null = null;
  #keepAlive: SocketOption | null = null;
  #ref: boolean | null = null;

  constructor(below: Channel) {
    this.#below = below;
  }

  get local(): Address {
    return this.#below.local;
  }

  get remote(): Address {
    return this.#below.remote;
  }

  get queued(): number {
    return this.#drained === null ? this.#queued : this.#queued + this.#below.queued;
  }

  get progress(): number | undefined {
    return this.#drained === null ? undefined : this.#below.progress;
  }

  get closed(): boolean {
    return this.#gone;
  }

  flow(_on: boolean): void {
    // The one who takes over the real channel turns it on.
  }

  send(bytes: Uint8Array): number {
    if (this.#gone || this.#shut) return 0;
    if (bytes.length > 0) {
      this.#queue.push(bytes);
      this.#queued += bytes.length;
    }
    return this.queued;
  }

  sendAll(chunks: readonly Uint8Array[]): number {
    for (const chunk of chunks) this.send(chunk);
    return this.#gone || this.#shut ? 0 : this.queued;
  }

  wantWritable(): void {
    if (this.#gone || this.#asked) return;
    this.#asked = true;
    if (this.queued > 0) return;
    process.nextTick(() => this.#tellWritable());
  }

  shutdown(): void {
    this.#shut = true;
  }

  destroy(how: 'flush' | 'drop' | 'reset'): void {
    if (this.#gone) return;
    const unsent = this.queued;
    this.#forget();
    this.onGone(how === 'reset' ? 'reset' : 'drop');
    const end: ChannelEnd = how === 'reset' ? { kind: 'aborted' } : { kind: 'dropped', unsent };
    process.nextTick(() => this.sink.close(end));
  }

  release(): Released | null {
    if (this.#gone) return null;
    throw new PortsideError('ERR_PORTSIDE_STATE', 'the handshakes of the connection are under way; wait for `opened`', {
      op: 'release',
    });
  }

  set(option: SocketOption): void {
    if (option.kind === 'noDelay') this.#noDelay = option;
    else this.#keepAlive = option;
    this.#below.set(option);
  }

  ref(on: boolean): void {
    this.#ref = on;
    this.#below.ref(on);
  }

  /** Resolves when what was queued below before is with the kernel, or it is over. */
  drained(): Promise<void> {
    if (this.#gone || this.#below.queued === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#below.wantWritable();
    });
  }

  /** The handshakes are over: what was kept goes to the channel that they made, and so does the sink. */
  openTo(channel: Channel, replace: (channel: Channel) => void): void {
    const queue = this.#queue;
    const asked = this.#asked;
    this.#forget();
    if (this.#noDelay !== null) channel.set(this.#noDelay);
    if (this.#keepAlive !== null) channel.set(this.#keepAlive);
    if (this.#ref !== null) channel.ref(this.#ref);
    replace(channel);
    if (queue.length > 0) channel.sendAll(queue);
    if (this.#shut) channel.shutdown();
    if (asked) channel.wantWritable();
  }

  // ---- as the sink of the real channel, between two steps: nothing flows, but it may close ----

  data(): void {}

  end(): void {}

  writable(): void {
    const drained = this.#drained;
    if (drained === null) return;
    this.#drained = null;
    drained();
    if (this.#queued === 0) this.#tellWritable();
  }

  close(end: ChannelEnd): void {
    if (this.#gone) return;
    this.#forget();
    this.onGone(null);
    this.sink.close(end);
  }

  #tellWritable(): void {
    if (this.#gone || !this.#asked || this.queued > 0) return;
    this.#asked = false;
    this.sink.writable();
  }

  #forget(): void {
    this.#gone = true;
    this.#queue = [];
    this.#queued = 0;
    this.#asked = false;
    this.#drained?.();
    this.#drained = null;
  }
}

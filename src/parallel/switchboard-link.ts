import type { MessagePort } from 'node:worker_threads';
import { PortsideError } from '../base/errors.ts';
import { threadHub } from './channel.ts';
import type { Hub, Wire } from './hub.ts';
import { counters, EVERYBODY, Outbox, PLACES } from './outbox.ts';
import type { Batch } from './outbox.ts';
import { outside } from './outside.ts';

/** A worker's way to the switchboard, as it travels: cloned once, to that worker, with `port` in the list of what is transferred. */
export interface SwitchboardTicket {
  /** The worker's number. */
  readonly index: number;
  readonly port: MessagePort;
  /** How far each side has come; see `counters`. */
  readonly shared: SharedArrayBuffer;
  /** Messages to the parent that may be on their way. */
  readonly limit: number;
}

/** The worker's end of a switchboard. */
export class SwitchboardLink implements Wire {
  readonly self: number;
  readonly #hub: Hub;
  readonly #port: MessagePort;
  readonly #shared: Int32Array;
  readonly #outbox: Outbox;
  readonly #limit: number;
  #state: 'waiting' | 'open' | 'closed' = 'waiting';
  /** Messages that came, by their numbers. */
  #took = 0;
  // What was sent last goes out although the thread is ended by process.exit, or by an error.
  readonly #exit: () => void = () => this.#outbox.flush();

  constructor(ticket: SwitchboardTicket, hub: Hub) {
    const { index, port, shared, limit } = ticket;
    this.self = index;
    this.#hub = hub;
    this.#port = port;
    this.#shared = new Int32Array(shared);
    this.#outbox = new Outbox(port, this.#shared, counters.parentTook, limit);
    this.#limit = limit;
    port.on('close', () => this.close());
    process.on('exit', this.#exit);
    hub.connect(this);
  }

  /**
   * Makes this worker a member, and begins to receive: to be called once the user's module is loaded, so that its receivers are there. What is
   * sent before does it too. Idempotent.
   */
  open(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'open';
    this.#port.on('message', (batch: Batch) => outside(() => this.#take(batch)));
    this.#port.unref();
    this.#outbox.flush(true);
  }

  /** Leaves: for this worker nobody else is there any more. Idempotent; it is called when the parent has closed. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#outbox.flush();
    process.off('exit', this.#exit);
    this.#port.close();
    outside(() => this.#hub.disconnect());
  }

  mustHaveRoom(op: string): void {
    if (!this.#outbox.full) return;
    throw new PortsideError('ERR_PORTSIDE_LIMIT', `${op}: the parent has not taken ${this.#limit} messages yet`, {
      op,
    });
  }

  broadcast(channel: string, value: unknown): void {
    this.send(EVERYBODY, 0, channel, value);
  }

  send(to: number, incarnation: number, channel: string, value: unknown): boolean {
    this.open();
    this.#outbox.put(to, incarnation, channel, value);
    Atomics.store(this.#shared, counters.workerSent, this.#outbox.sent | 0);
    return true;
  }

  #take(batch: Batch): void {
    const missed = (batch[0] as number) - this.#took;
    if (missed > 0) {
      Atomics.add(this.#shared, counters.workerMissed, missed);
      this.#took += missed;
      Atomics.store(this.#shared, counters.workerTook, this.#took | 0);
    }
    for (let i = 1; i < batch.length; i += PLACES) {
      const who = batch[i] as number;
      const incarnation = batch[i + 1] as number;
      const channel = batch[i + 2] as string | null;
      if (channel !== null) {
        this.#took += 1;
        Atomics.store(this.#shared, counters.workerTook, this.#took | 0);
        this.#hub.take(who, channel, batch[i + 3]);
      } else if (incarnation === 0) this.#hub.gone(who);
      else this.#hub.joined(who, incarnation);
    }
  }
}

/**
 * Connects the channels of this worker, those that are made already too, to the switchboard of its parent: once, before user code runs. What
 * is returned has to be opened when that is loaded. Throws ERR_PORTSIDE_STATE when this thread is connected already.
 */
export function connectSwitchboard(ticket: SwitchboardTicket): SwitchboardLink {
  if (threadHub.connected) {
    throw new PortsideError(
      'ERR_PORTSIDE_STATE',
      'connectSwitchboard: this thread is connected to a switchboard already',
    );
  }
  return new SwitchboardLink(ticket, threadHub);
}

import assert from 'node:assert/strict';
import type { Ledger } from '../../src/server/drain.ts';
import type { Handler } from '../../src/server/handler.ts';
import type { DrainOptions, ServerOptions } from '../../src/server/options.ts';
import type { Server } from '../../src/server/server.ts';
import { Guest, doings, summary } from './guests.ts';
import { Stage } from './virtual.ts';

/** A server with guests, in a time of its own. */
export class Play {
  readonly stage: Stage = new Stage();
  readonly guests: Guest[] = [];
  server!: Server;
  /** What the drain came to, once it is over. */
  ledger: Ledger | null = null;

  static async begin(handler: Handler, guests: number, options: ServerOptions = {}): Promise<Play> {
    const play = new Play();
    play.server = await play.stage.serve(handler, options);
    for (let i = 0; i < guests; i += 1) await play.guest();
    return play;
  }

  get now(): number {
    return this.stage.clock.now();
  }

  async guest(): Promise<Guest> {
    const guest = new Guest(await this.stage.dial(this.server), this.stage.clock);
    this.guests.push(guest);
    await this.stage.clock.settle();
    return guest;
  }

  /** Begins or hastens; the ledger is there when it has stopped. */
  drain(options: DrainOptions): void {
    void this.server.drain(options).then((ledger) => (this.ledger = ledger));
  }

  /** Moves the time to a moment, and tells whether the server has stopped by then. */
  async at(moment: number): Promise<boolean> {
    await this.stage.clock.advance(moment - this.now);
    return this.server.stopped;
  }

  /** It stops at that moment and not a millisecond sooner, and nothing is left. */
  async stopsAt(moment: number): Promise<Record<string, number>> {
    assert.equal(await this.at(moment - 1), false, `it has stopped before ${moment} ms`);
    assert.equal(await this.at(moment), true, `it has not stopped at ${moment} ms: ${doings(this.server).join()}`);
    for (const { client } of this.guests) client.abort();
    await this.stage.clock.settle();
    assert.equal(this.stage.clock.armed, 0, 'timers are left');
    assert.ok(this.ledger !== null);
    return summary(this.ledger);
  }
}

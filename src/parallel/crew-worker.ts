import type { MessagePort } from 'node:worker_threads';
import type { Passage } from '../transport/passage.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import type { WorkerLoad } from './dispatch.ts';
import type { Loan } from './permit-pool.ts';
import type { WorkerDrain, WorkerInit, WorkerLedger, WorkerPlace } from './protocol.ts';
import type { SettingOut } from './setting-out.ts';
import { untilTaken } from './taking.ts';
import { TallySheet } from './tally.ts';
import { WorkerThread } from './worker-thread.ts';
import type { ThreadHost, ThreadSetting } from './worker-thread.ts';

/** What a worker is given to listen on. */
export interface Equipment {
  readonly places: readonly WorkerPlace[];
  /** The certificates of the places that have no others. */
  readonly tls: TlsServerOptions | undefined;
  readonly transfer: readonly MessagePort[];
  /** The ways by which connections come to it, one for each place; none where it accepts by itself. */
  readonly passages: readonly Passage[];
  /** When those that are under way were accepted, for each of these ways. */
  readonly settingOut: readonly SettingOut[];
  /** Its permits of each place that has a limit of its own. */
  readonly loans: readonly (Loan | null)[];
}

/** Where a worker is in its life. */
export type WorkerState = 'booting' | 'ready' | 'serving' | 'leaving' | 'gone';

/** Milliseconds after the last look that make the next one late: two of the crew's. */
const LATE = 500;

/** Milliseconds that a thread has to end by itself when its work is done. */
const LAST_STEPS = 1_000;

/** One worker as its parent has it: the thread, what it was given, and what it has. */
export class CrewWorker implements WorkerLoad {
  readonly index: number;
  /** Tells it from those that had, or will have, the same index. */
  readonly serial: number;
  readonly thread: WorkerThread;
  readonly sheet: TallySheet;
  readonly loan: Loan;
  readonly equipment: Equipment;
  utilization = 0;
  heap: number | null = null;
  state: WorkerState = 'booting';
  /** Connections that the parent has given to it, but for those that came back. */
  given = 0;
  /** Connections that it has handed over to others. */
  handedOver = 0;
  #drained: Promise<WorkerLedger | null> | null = null;
  /** When its connections have to be over, and over how long idle ones are closed. */
  #end = Infinity;
  #spread = 0;
  #settle = 0;
  /** It has heard of its end. */
  #asked = false;
  readonly #beats = { last: -1, at: 0, silence: 0, late: false };
  #weighing = false;

  constructor(
    serial: number,
    init: Omit<WorkerInit, 'control' | 'tally' | 'places' | 'tls' | 'permits'>,
    transfer: readonly MessagePort[],
    loan: Loan,
    equipment: Equipment,
    setting: ThreadSetting,
    host: ThreadHost,
  ) {
    this.index = init.index;
    this.serial = serial;
    this.loan = loan;
    this.equipment = equipment;
    this.sheet = new TallySheet();
    const { places, tls } = equipment;
    const all = { ...init, places, tls, permits: loan.ticket, tally: this.sheet.shared };
    this.thread = new WorkerThread(all, [...transfer, ...loan.transfer, ...equipment.transfer], setting, host);
  }

  /** Connections that it has, and those on their way to it. */
  get connections(): number {
    return this.equipment.passages.length > 0 ? this.loan.out : this.sheet.accepted - this.sheet.over;
  }

  get room(): boolean {
    if (this.state !== 'serving') return false;
    for (const passage of this.equipment.passages) if (passage.full) return false;
    return true;
  }

  /** Connections that are on their way to it. */
  get waiting(): number {
    let waiting = 0;
    for (const passage of this.equipment.passages) waiting += passage.waiting;
    return waiting;
  }

  /** Looks how it does; whether its event loop has stood still for longer than `limit` milliseconds. */
  pulse(now: number, limit: number): boolean {
    this.utilization = this.thread.utilization();
    if (!this.#weighing) void this.#weigh();
    const { beat } = this.sheet;
    const beats = this.#beats;
    const passed = now - beats.at;
    // The first look has none before it.
    const late = beats.last !== -1 && passed > LATE;
    if (beat !== beats.last || this.state === 'booting') beats.silence = 0;
    // The whole process may have been stopped for a while, and all in it. When it is always late, that is how it looks.
    else if (!late || beats.late) beats.silence += passed;
    beats.at = now;
    beats.last = beat;
    beats.late = late;
    return beats.silence > limit;
  }

  /** One whose loop stands still answers late, or never. */
  async #weigh(): Promise<void> {
    this.#weighing = true;
    this.heap = await this.thread.heap();
    this.#weighing = false;
  }

  /**
   * Ends its connections and then its thread, within the grace and a little more, and resolves when it is gone: with how its connections ended, or
   * null where it could not tell. A further call can only make it sooner.
   */
  drain({ settle, grace, spread }: WorkerDrain): Promise<WorkerLedger | null> {
    const end = performance.now() + grace;
    const first = this.#drained === null;
    if (first || end < this.#end) {
      this.#end = end;
      this.#spread = Math.min(spread, grace);
      this.#settle = first ? settle : Math.min(this.#settle, settle);
      if (this.#asked) this.thread.ask('drain', this.#times()).catch(() => {});
    }
    if (grace !== Infinity) void this.#hurry(grace);
    this.state = this.state === 'gone' ? 'gone' : 'leaving';
    this.#drained ??= this.#leave();
    return this.#drained;
  }

  #times(): WorkerDrain {
    const grace = Math.max(0, this.#end - performance.now());
    return { settle: Math.min(grace, this.#settle), grace, spread: Math.min(grace, this.#spread) };
  }

  async #leave(): Promise<WorkerLedger | null> {
    // What is on its way to it comes by another port, and must not find it closed.
    await untilTaken({
      waits: () => this.waiting > 0,
      taken: () => this.waiting,
      goesOn: () => !this.thread.gone && performance.now() < this.#end,
    });
    let ledger: WorkerLedger | null = null;
    try {
      this.#asked = true;
      ledger = await this.thread.ask('drain', this.#times());
    } catch {
      // It died, which is told where deaths are, or is ended when its time is over.
    }
    if (ledger !== null) this.thread.leave();
    const timer = setTimeout(() => void this.thread.terminate(null), LAST_STEPS);
    await this.thread.ended;
    clearTimeout(timer);
    return ledger;
  }

  /** Ends the thread when it has not ended by then. */
  async #hurry(grace: number): Promise<void> {
    const timer = setTimeout(
      () => void this.thread.terminate('did not come to its end in time, and was ended'),
      Math.min(2_147_483_647, grace + LAST_STEPS),
    );
    await this.thread.ended;
    clearTimeout(timer);
  }
}

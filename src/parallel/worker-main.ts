import type { MessagePort } from 'node:worker_threads';
import { PortsideError } from '../base/errors.ts';
import type { Logger } from '../server/logger.ts';
import { peerName } from '../server/verbose.ts';
import { rethrowSoon } from '../sync/rethrow.ts';
import { transportFor } from '../net/transports.ts';
import type { Address } from '../transport/address.ts';
import type { Transport } from '../transport/contract.ts';
import { BareWorker } from './bare-worker.ts';
import { Departures } from './departures.ts';
import { LogRelay } from './log-relay.ts';
import type { Question, Questions, ToParent, ToWorker, WorkerInit } from './protocol.ts';
import { settle } from './receive-connections.ts';
import type { Received, WorkerHome, WorkerPosition } from './receive-connections.ts';
import { packError } from './remote-error.ts';
import { ServedWorker } from './served-worker.ts';
import type { Report } from './served-worker.ts';
import type { Serving } from './serving.ts';
import { connectSwitchboard } from './switchboard.ts';
import type { SwitchboardLink } from './switchboard.ts';
import { Tally } from './tally.ts';
import { workerParts } from './worker-parts.ts';

/** Errors that are told between two beats; more are only counted. */
const MOST_TOLD = 100;

/** A worker's side of a parallel listener. */
export class WorkerMain implements WorkerHome, Report {
  readonly place: WorkerPosition;
  readonly #init: WorkerInit;
  readonly #control: MessagePort;
  readonly #tally: Tally;
  readonly #channels: SwitchboardLink;
  readonly #stopping = new AbortController();
  readonly #beat: NodeJS.Timeout;
  #serving: Serving | null = null;
  #departures: Departures | null = null;
  #received = false;
  /** The parent said so before there was anything that could. */
  #going = false;
  readonly #relay: LogRelay;
  #told = 0;
  #untold = 0;

  constructor(init: WorkerInit) {
    this.#init = init;
    this.place = Object.freeze({ index: init.index, count: init.count });
    this.#control = init.control;
    this.#tally = new Tally(init.tally);
    this.#control.on('message', (message: ToWorker) => this.#hear(message));
    this.#beat = setInterval(() => this.#turn(), init.beat);
    this.#beat.unref();
    const { logLevel } = init.options;
    this.#relay = new LogRelay(init.index, logLevel, (lines) => this.#post({ kind: 'lines', lines }));
    settle(this);
    this.#channels = connectSwitchboard(init.switchboard);
  }

  /** Loads the module, and serves by what it exports, unless it takes its connections itself. */
  async run(): Promise<void> {
    try {
      for (const one of this.#init.preload) await import(one);
      const module = (await import(this.#init.module)) as Record<string, unknown>;
      if (this.#received) return;
      const { handler, options } = await workerParts(module, this.#init);
      const transport = await this.#transport();
      const departures = new Departures(this.#init, transport);
      const parts = [this.#init, transport, this.#tally, departures] as const;
      this.#begin(await ServedWorker.start(handler, options, ...parts, this), departures);
    } catch (error) {
      // It is ended for that.
      this.#relay.flush();
      this.#post({ kind: 'failed', error: packError(error) });
    }
  }

  async receive(): Promise<Received> {
    if (this.#received || this.#serving !== null)
      throw new PortsideError('ERR_PORTSIDE_STATE', 'the connections of this worker are received already', {
        op: 'receiveConnections',
      });
    this.#received = true;
    const { count, index, host, data } = this.#init;
    const transport = await this.#transport();
    const departures = new Departures(this.#init, transport);
    const bare = await BareWorker.start(this.#init, transport, this.#tally, departures);
    this.#begin(bare, departures);
    void bare.listener.closed.then(() => this.closed());
    const { listener } = bare;
    const port = 'port' in listener.address ? listener.address.port : null;
    return { count, index, host, port, listener, stopping: this.#stopping.signal, data };
  }

  get logger(): Logger | undefined {
    return this.#relay.logger;
  }

  failed(error: unknown, remote?: Address): void {
    this.#tell('error', error, remote);
  }

  trouble(error: unknown): void {
    this.#tell('trouble', error);
  }

  closed(): void {
    // Only by its own doing is it news.
    if (!this.#stopping.signal.aborted) this.#post({ kind: 'closed' });
  }

  line(line: string): void {
    this.#relay.say(line);
  }

  async #transport(): Promise<Transport> {
    const { transport } = this.#init;
    if (transport === 'node' || transport === 'native') return transportFor(transport);
    const { transport: own } = (await import(transport)) as { transport: Transport };
    return own;
  }

  #begin(serving: Serving, departures: Departures): void {
    this.#serving = serving;
    this.#departures = departures;
    // Its module is loaded, and what it receives by is there.
    this.#channels.open();
    const { passage } = departures;
    const wayOut = passage === null ? null : passage.ticket;
    this.#post({ kind: 'ready', addresses: serving.addresses, wayOut }, passage?.transfer);
    if (this.#going) serving.resume();
  }

  #hear(message: ToWorker): void {
    switch (message.kind) {
      case 'go':
      case 'resume':
        this.#going = true;
        this.#serving?.resume();
        break;
      case 'suspend':
        this.#going = false;
        this.#serving?.suspend();
        break;
      case 'room':
        this.#departures?.again();
        break;
      case 'logged':
        this.#relay.taken(message.weight);
        break;
      case 'leave':
        this.#relay.flush();
        this.#stopping.abort();
        clearInterval(this.#beat);
        this.#control.close();
        break;
      case 'ask':
        void this.#answer(message.id, message.question, message.value);
    }
  }

  async #answer(id: number, question: Question, value: unknown): Promise<void> {
    try {
      this.#post({ kind: 'answer', id, value: await this.#do(question, value) });
    } catch (error) {
      this.#post({ kind: 'refused', id, error: packError(error) });
    }
  }

  async #do(question: Question, value: unknown): Promise<Questions[Question]['answer']> {
    const serving = this.#serving;
    if (serving === null) throw new PortsideError('ERR_PORTSIDE_STATE', 'the worker is not ready', { op: question });
    switch (question) {
      case 'drain':
        this.#stopping.abort();
        return serving.drain(value as Questions['drain']['ask']);
      case 'reloadTls':
        await serving.reloadTls((value as Questions['reloadTls']['ask']) ?? undefined);
        return null;
      case 'set':
        serving.set(value as Questions['set']['ask']);
        return null;
      case 'connections':
        return serving.connections();
      case 'endConnections': {
        const { ids, how } = value as Questions['endConnections']['ask'];
        return serving.endConnections(ids, how);
      }
    }
  }

  #tell(kind: 'error' | 'trouble', error: unknown, remote?: Address): void {
    if (this.#told >= MOST_TOLD) {
      this.#untold += 1;
      return;
    }
    this.#told += 1;
    const more = this.#untold;
    this.#untold = 0;
    const packed = packError(error);
    const peer = remote === undefined ? undefined : peerName(remote);
    this.#post(kind === 'error' ? { kind, error: { ...packed, peer }, more } : { kind, error: packed });
  }

  #turn(): void {
    this.#told = 0;
    this.#tally.beat();
  }

  #post(message: ToParent, transfer: readonly MessagePort[] = []): void {
    try {
      this.#control.postMessage(message, transfer);
    } catch (error) {
      // What is posted here is plain; if not, it is a mistake of ours that must show.
      rethrowSoon(error);
    }
  }
}

import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PortsideError } from '../base/errors.ts';
import type { Admin } from '../ops/admin.ts';
import type { WorkersConfig } from '../parallel/config.ts';
import type { ParallelOptions } from '../parallel/options.ts';
import { startParallel } from '../parallel/start-parallel.ts';
import type { ParallelServer } from '../parallel/parallel-server.ts';
import { onSignals } from '../server/signals.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { openAdmin } from './admin/open-admin.ts';
import { developmentCertificate, withCertificate } from './development-certificate.ts';
import type { DevelopmentCertificate } from './development-certificate.ts';
import { explain } from './explain.ts';
import type { Gathered } from './gather-options.ts';
import { onHangUp } from './hang-up.ts';
import type { CommandIo } from './io.ts';
import { Notices, counted, ended } from './notices.ts';
import { parallelOptions } from './parallel-options.ts';
import { REPORTER, SourceWatch } from './source-watch.ts';
import { manage, reloading } from './upgrade/manage.ts';
import type { Manager } from './upgrade/manager.ts';
import { WorkerNotices, reloaded, withWorkers } from './worker-notices.ts';

/** What `serve --workers` runs. */
export interface RunningParallel {
  /** The whole path of the workers' module. */
  readonly file: string;
  /** As it reads before "on 127.0.0.1:7000": `serving chat.ts`. */
  readonly what: string;
  readonly gathered: Gathered;
  readonly workers: WorkersConfig;
  readonly manager: Manager;
  readonly io: CommandIo;
}

/** Runs a parallel listener as `runServer` runs a server, and says what happens to its workers. Fails when it has to stop because of one. */
export function runParallel(running: RunningParallel): Promise<void> {
  return new ParallelRun(running).run();
}

class ParallelRun {
  readonly #running: RunningParallel;
  readonly #notices: Notices;
  readonly #workers: WorkerNotices;
  readonly #calledOff = new AbortController();
  #certificate: DevelopmentCertificate | null = null;
  #server: ParallelServer | null = null;
  #admin: Admin | null = null;
  /** Reloads come one after the other, each with the code of its time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(running: RunningParallel) {
    this.#running = running;
    this.#notices = new Notices(running.gathered, running.io);
    this.#workers = new WorkerNotices(this.#notices);
  }

  get state(): ParallelServer['state'] {
    return this.#server?.state ?? 'starting';
  }

  stop(): void {
    if (this.#server === null) this.#calledOff.abort();
    else void this.#server.stop();
  }

  async run(): Promise<void> {
    const { file, gathered } = this.#running;
    const { warn } = this.#notices;
    this.#certificate = await developmentCertificate(gathered);
    const offSignals = this.#onSignals();
    const offHangUp = onHangUp(this, warn, () => this.#hungUp());
    const { manager } = this.#running;
    const sources = gathered.watch ? new SourceWatch(file, this) : null;
    try {
      const server = await this.#start();
      if (server !== null) await this.#untilOver(server);
    } finally {
      sources?.close();
      offHangUp();
      offSignals();
      await this.#admin?.close();
      await manager.close();
    }
  }

  /** Null when it was called off. */
  async #start(): Promise<ParallelServer | null> {
    const { file, what } = this.#running;
    try {
      const server = await startParallel(pathToFileURL(file), this.#options());
      this.#notices.listening(server, what, withWorkers(server), this.#certificate);
      return server;
    } catch (error) {
      if (!this.#calledOff.signal.aborted) throw error;
      return null;
    }
  }

  #options(): ParallelOptions {
    const { file, gathered, workers } = this.#running;
    const { options, config, watch } = gathered;
    return {
      ...parallelOptions(withCertificate(options, this.#certificate), workers, config),
      // It has the handler too.
      ...(config?.file === file ? { optionsModule: pathToFileURL(file) } : {}),
      ...(watch ? { preload: [new URL(REPORTER)] } : {}),
      signal: this.#calledOff.signal,
      onStart: async (server) => {
        this.#server = server;
        server.on('worker', (event) => this.#workers.happened(event, server));
        // Others hear of it too, as they would not by an `onError`.
        server.on('error', this.#workers.failed);
        const { what, manager } = this.#running;
        manage(server, manager, what, this.#notices, () => this.#admin?.close());
        this.#admin = await openAdmin(server, what, gathered, this.#notices, manager.upgrade);
      },
    };
  }

  async #untilOver(server: ParallelServer): Promise<void> {
    const failure = await server.run({ signals: [] }).then(
      () => null,
      (error: unknown) => ({ error }),
    );
    this.#notices.end();
    // It has stopped, and this is how.
    const { lost, ...ledger } = await server.stop();
    const gone = lost.length === 0 ? '' : `; lost with workers that died: ${counted(lost.length, 'connection')}`;
    const told = `${ended(ledger)}${gone}`;
    if (failure === null) return this.#notices.note(`stopped; ${told}`);
    throw new PortsideError('ERR_PORTSIDE_WORKER', `stopped because of a worker that died; ${told}`, {
      cause: failure.error,
    });
  }

  #onSignals(): () => void {
    return onSignals(
      ['SIGINT', 'SIGTERM'],
      (signal) => {
        const server = this.#server;
        if (server === null) {
          this.#notices.warn(`${signal}, stopped while it was starting`);
          this.#calledOff.abort();
          return;
        }
        this.#notices.leaving(signal, server);
        void server.drain();
      },
      () => void this.#server?.stop({ grace: 0 }),
    );
  }

  // ---- new code ----

  #hungUp(): Promise<string> {
    return this.#renewed(async (server) => {
      const { gathered } = this.#running;
      const next = await developmentCertificate(gathered);
      const done = await server.reload();
      if (next !== null) {
        this.#notices.say(next.told);
        // Those in files the new workers have read by themselves.
        await server.reloadTls(withCertificate(gathered.options, next).tls as TlsServerOptions);
      }
      return reloaded(server, done);
    });
  }

  /** Sources have changed. */
  changed(files: readonly string[]): void {
    const [first = ''] = files;
    const more = files.length > 1 ? ` and ${files.length - 1} more` : '';
    void this.#renewed(async (server) => reloaded(server, await server.reload())).then((told) => {
      if (this.state !== 'draining' && this.state !== 'stopped')
        this.#notices.warn(`${basename(first)}${more} changed, ${told}`);
    });
  }

  blind(why: string): void {
    this.#notices.warn(why);
  }

  /** What came of it, in words. */
  #renewed(renew: (server: ParallelServer) => Promise<string>): Promise<string> {
    const { what, manager } = this.#running;
    const told = this.#turn.then(async () => {
      const server = this.#server;
      if (server === null) return 'while it is starting; nothing is done';
      try {
        return await reloading(server, manager, what, () => renew(server));
      } catch (error) {
        return `and the old code goes on: ${explain(error, this.#notices.verbose)}`;
      }
    });
    this.#turn = told;
    return told;
  }
}

import type { ParallelServer } from '../parallel/parallel-server.ts';
import type { ServerState } from '../server/events.ts';
import type { ServerLimits } from '../server/limits.ts';
import type { DrainOptions, ServerChanges } from '../server/options.ts';
import type { Server } from '../server/server.ts';
import type { Subject } from './subject.ts';

/** What both kinds of servers do alike when they are operated. */
export abstract class Operated<S extends Server | ParallelServer> {
  readonly name: string;
  readonly upgrade: Subject['upgrade'];
  protected readonly server: S;

  constructor(server: S, name: string, upgrade: Subject['upgrade']) {
    this.server = server;
    this.name = name;
    this.upgrade = upgrade;
  }

  get state(): ServerState {
    return this.server.state;
  }

  get ready(): boolean {
    return this.server.ready;
  }

  get limits(): ServerLimits {
    return this.server.limits;
  }

  suspend(): void {
    this.server.suspend();
  }

  resume(): void {
    this.server.resume();
  }

  drain(options: DrainOptions): Promise<unknown> {
    return this.server.drain(options);
  }

  stop(options: { readonly grace?: number | undefined }): Promise<unknown> {
    return this.server.stop(options);
  }

  set(changes: ServerChanges): void {
    this.server.set(changes);
  }

  reloadTls(): Promise<void> {
    return this.server.reloadTls();
  }
}

import { AsyncLocalStorage } from 'node:async_hooks';
import { PortsideError } from '../base/errors.ts';
import { boolean, check, fn, string, table, that } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { systemRandom } from './random.ts';
import type { Random } from './random.ts';

/** Something that a scope owns. */
export interface Owned {
  /** What it is, for reports; may be a getter, asked only when a report is made. */
  readonly what: string;
  /** Closes it at once and drops what was unflushed. It has to come to an end by itself: the scope waits for it. */
  drop(): void | Promise<void>;
}

/** What a guard is asked about. */
export interface GuardRequest {
  readonly op: 'listen' | 'connect';
  readonly role: 'server' | 'client';
  /** The host as it was asked for, or the path or name of what has no host. */
  readonly host: string;
  /** The port; undefined for what has none, such as a path. */
  readonly port: number | undefined;
}

/** Says whether to listen or connect: `false` or a throw refuses. Synchronous; a promise refuses too. */
export type Guard = (request: GuardRequest) => boolean | void;

/** Options of a {@link Scope}. */
export interface ScopeOptions {
  /** For reports and errors; `unnamed` by default. */
  readonly name?: string | undefined;
  /** Who owns it: the current scope by default, nobody when null. */
  readonly parent?: Scope | null | undefined;
  /** The parent's by default, or the system's. */
  readonly clock?: Clock | undefined;
  /** The parent's by default, or the system's. */
  readonly random?: Random | undefined;
  /** Asked before each listen and connect, in this scope and those within. None by default. */
  readonly guard?: Guard | undefined;
  /**
   * Whether to note where each resource was opened (a stack; costs some microseconds and kilobytes for each). The
   * parent's by default, or false.
   */
  readonly trace?: boolean | undefined;
}

/**
 * A resource that is, or was, open. Those of an inner scope follow it and carry its name: `pool: listener
 * tcp://127.0.0.1:8000`.
 */
export interface OpenResource {
  readonly what: string;
  /** The stack of where it was opened, one call a line; undefined unless the scope traces. */
  readonly openedAt: string | undefined;
}

/** A resource whose drop failed. */
export interface ScopeFailure {
  readonly what: string;
  readonly error: unknown;
}

/** What a scope found when it was closed. */
export interface ScopeReport {
  readonly name: string;
  /** What was still open, newest first, which is the order of closing. */
  readonly open: readonly OpenResource[];
  /** The drops that failed. They stopped no other. */
  readonly errors: readonly ScopeFailure[];
}

interface Entry {
  readonly resource: Owned;
  /** The resource, when it is a scope. */
  readonly inner: Scope | undefined;
  /** Holds `stack`, which V8 writes out only when it is read. */
  readonly trace: { stack?: string } | undefined;
}

// Made by the first run: until then asking for the current scope is one comparison. On Node 22 the first run turns on
// async hooks for the whole process.
let storage: AsyncLocalStorage<Scope> | undefined;

/**
 * Owns what is opened while it is current: listeners, connections, workers, subscriptions, inner scopes. Closing it
 * closes them newest first and drops what was unflushed, as a custodian does in Racket.
 *
 * The clock, the source of randomness and the guards hang on it too, and are inherited by inner scopes.
 * Made within a closed scope it throws `ERR_PORTSIDE_SCOPE_CLOSED`.
 */
export class Scope implements AsyncDisposable {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly #parent: Scope | undefined;
  readonly #guard: Guard | undefined;
  readonly #trace: boolean;
  readonly #entries = new Set<Entry>();
  #disown: (() => void) | undefined;
  #closing: Promise<ScopeReport> | undefined;

  constructor(given?: ScopeOptions) {
    const options: ScopeOptions = check(scopeTable, given);
    const parent = options.parent === undefined ? currentScope() : (options.parent ?? undefined);
    this.name = options.name ?? 'unnamed';
    this.#parent = parent;
    this.clock = options.clock ?? parent?.clock ?? systemClock;
    this.random = options.random ?? parent?.random ?? systemRandom;
    this.#guard = options.guard;
    this.#trace = options.trace ?? (parent === undefined ? false : parent.#trace);
    if (parent !== undefined) {
      const itself: Owned = {
        what: `scope ${this.name}`,
        drop: async () => void (await this.close()),
      };
      this.#disown = parent.#own(itself, this);
    }
  }

  /** Whether {@link Scope.close} was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Calls `fn` with this scope as the current one, for it and all that it starts, and returns what it returns. */
  run<T>(fn: () => T): T {
    storage ??= new AsyncLocalStorage();
    return storage.run(this, fn);
  }

  /**
   * Takes charge of a resource. Returns what to call when the resource is closed by itself or goes to another owner;
   * calling it twice does nothing. Throws `ERR_PORTSIDE_SCOPE_CLOSED` when closed: the caller then drops the resource.
   */
  own(resource: Owned): () => void {
    return this.#own(resource, undefined);
  }

  /**
   * Asks this scope's guard and those of the scopes around it. Throws `ERR_PORTSIDE_GUARD` when one refuses, with what
   * it threw as the cause, and `ERR_PORTSIDE_SCOPE_CLOSED` when closed.
   */
  check(request: GuardRequest): void {
    if (this.closed) throw this.#refusal(`${request.op} ${target(request)}`);
    if (this.#guard !== undefined) ask(this.#guard, this.name, request);
    this.#parent?.check(request);
  }

  /**
   * Closes what is open, newest first, one after another. A drop that fails stops no other; it is in the report.
   * Idempotent: each call returns the same promise, which never rejects. A drop must not wait for it.
   */
  close(): Promise<ScopeReport> {
    if (this.#closing === undefined) {
      let settle: (report: ScopeReport) => void;
      // In place before the first drop runs, which may ask for it.
      this.#closing = new Promise((resolve) => {
        settle = resolve;
      });
      void this.#dropAll().then((report) => settle(report));
    }
    return this.#closing;
  }

  /** What is open now, newest first. Empty once closed. */
  report(): readonly OpenResource[] {
    const open: OpenResource[] = [];
    for (const entry of [...this.#entries].toReversed()) {
      open.push(seen(entry));
      if (entry.inner !== undefined) open.push(...entry.inner.report().map((one) => within(entry.inner, one)));
    }
    return open;
  }

  /** {@link Scope.close}; rejects with the failure when a drop failed, and with an AggregateError when several did. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { errors } = await this.close();
    if (errors.length === 1) throw errors[0]?.error;
    if (errors.length > 1) {
      const failures = errors.map(({ error }) => error);
      throw new AggregateError(failures, `${errors.length} resources of scope ${this.name} failed to close`);
    }
  }

  #own(resource: Owned, inner: Scope | undefined): () => void {
    if (this.closed) throw this.#refusal(`own ${describe(resource)}`);
    let trace: Entry['trace'];
    if (this.#trace) Error.captureStackTrace((trace = {}));
    const entry: Entry = { resource, inner, trace };
    this.#entries.add(entry);
    return () => {
      this.#entries.delete(entry);
    };
  }

  async #dropAll(): Promise<ScopeReport> {
    const open: OpenResource[] = [];
    const errors: ScopeFailure[] = [];
    for (const entry of [...this.#entries].toReversed()) {
      // A drop before this one may have closed it already.
      if (!this.#entries.delete(entry)) continue;
      const { what, openedAt } = seen(entry);
      open.push({ what, openedAt });
      try {
        if (entry.inner === undefined) {
          await entry.resource.drop();
          continue;
        }
        const report = await entry.inner.close();
        open.push(...report.open.map((one) => within(entry.inner, one)));
        errors.push(...report.errors.map((one) => within(entry.inner, one)));
      } catch (error) {
        errors.push({ what, error });
      }
    }
    this.#disown?.();
    this.#disown = undefined;
    return { name: this.name, open, errors };
  }

  #refusal(wanted: string): PortsideError {
    return new PortsideError('ERR_PORTSIDE_SCOPE_CLOSED', `Scope ${this.name} is closed and can't ${wanted}`);
  }
}

// A guard that is misspelt and so never asked would be a hole.
const scopeTable = table('Scope', {
  name: string(),
  parent: that<Scope | null>('a Scope, or null', (value) => value === null || value instanceof Scope),
  clock: that<Clock>('a clock', (value) => typeof (value as Partial<Clock> | null)?.now === 'function'),
  random: that<Random>(
    'a source of randomness',
    (value) => typeof (value as Partial<Random> | null)?.int === 'function',
  ),
  guard: fn<Guard>(),
  trace: boolean(),
});
const agreed: Agrees<typeof scopeTable, ScopeOptions> = true;
void agreed;

/** The scope that the running code is in; undefined when there is none. Costs nothing where no scope ever ran. */
export function currentScope(): Scope | undefined {
  return storage === undefined ? undefined : storage.getStore();
}

/** The current scope's clock, or the system's. */
export function currentClock(): Clock {
  return currentScope()?.clock ?? systemClock;
}

/** The current scope's source of randomness, or the system's. */
export function currentRandom(): Random {
  return currentScope()?.random ?? systemRandom;
}

function seen(entry: Entry): OpenResource {
  // Before the caller come the name of an error that nobody made, and two calls within this class.
  const calls = entry.trace?.stack?.split('\n').slice(3);
  return { what: describe(entry.resource), openedAt: calls?.map((call) => call.trim()).join('\n') };
}

function within<T extends { readonly what: string }>(inner: Scope | undefined, one: T): T {
  return { ...one, what: `${inner?.name ?? ''}: ${one.what}` };
}

// A description that throws must not stand in the way of closing.
function describe(resource: Owned): string {
  try {
    return resource.what;
  } catch (error) {
    return `a resource whose description failed (${String(error)})`;
  }
}

function target({ host, port }: GuardRequest): string {
  if (port === undefined) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function ask(guard: Guard, name: string, request: GuardRequest): void {
  let answer: unknown;
  let cause: unknown;
  try {
    answer = guard(request);
  } catch (error) {
    answer = false;
    cause = error;
  }
  // What comes later can't refuse in time, so it must not pass as consent.
  if (typeof answer === 'object' && answer !== null) {
    answer = false;
    cause = new TypeError('A guard has to answer at once; this one returned an object or a promise');
  }
  if (answer !== false) return;
  const { op } = request;
  const wish = op === 'listen' ? 'listen on' : 'connect to';
  throw new PortsideError('ERR_PORTSIDE_GUARD', `A guard of scope ${name} refused to ${wish} ${target(request)}`, {
    op,
    cause,
    ...(op === 'listen' ? { local: target(request) } : { remote: target(request) }),
  });
}

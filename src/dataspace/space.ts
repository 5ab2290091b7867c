import { PortsideError } from '../base/errors.ts';
import { check, fn, instance, integer, milliseconds, table } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import { rethrowSoon } from '../sync/rethrow.ts';
import { currentClock, currentScope } from '../sync/scope.ts';
import type { ActorId } from './endpoint.ts';
import { inspect } from './inspect.ts';
import type { SpaceReport } from './inspect.ts';
import { Kernel } from './kernel.ts';
import type { ActorEnd } from './kernel-settings.ts';
import { isFailure } from './links.ts';
import { toDetail } from './message.ts';
import type { EndReason } from './reasons.ts';
import { createActor } from './self.ts';
import type { Boot, SpawnOptions } from './self.ts';
import { notInTurn } from './state-errors.ts';
import type { Datum } from './topic-types.ts';

/** Settings of a {@link Dataspace}. */
export interface DataspaceOptions {
  /** Ends the space when it aborts. It holds the space until that has ended, by whatever; an idle space has not. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Turns that one actor may take before others get theirs.
   * @default 16
   */
  readonly burst?: number | undefined;
  /**
   * Turns, of all actors, after which the event loop goes round.
   * @default 4096
   */
  readonly slice?: number | undefined;
  /**
   * Milliseconds after which the event loop goes round; a turn that takes longer is not cut short.
   * @default 5
   */
  readonly sliceTime?: number | undefined;
  /**
   * Events that may wait for one actor; one more ends it with `ERR_PORTSIDE_LIMIT`.
   * @default 1000000
   */
  readonly queueLimit?: number | undefined;
  /**
   * Actors at one time in this space, and in each space within; starting one more throws `ERR_PORTSIDE_LIMIT`. What is
   * asked for by `atMeta` counts from then on.
   * @default 1000000
   */
  readonly maxActors?: number | undefined;
  /**
   * Endpoints at one time in this space, and in each space within; one more throws `ERR_PORTSIDE_LIMIT`. What is asked
   * for by `atMeta` counts from then on.
   * @default 1000000
   */
  readonly maxEndpoints?: number | undefined;
  /** Told of each actor's end, after its peers. What it throws reaches the process as an uncaught exception. */
  readonly onActorEnd?: ((end: ActorEnd) => void) | undefined;
}

/** What became of a space. */
export interface SpaceSummary {
  /** `idle`: nothing is left that could go on by itself; actors may be there still. `ended`: it was ended, and has none. */
  readonly state: 'idle' | 'ended';
  /** Actors that failed since the last run, by themselves or by one that they were linked with. */
  readonly failed: number;
  /** The first 32 of them. */
  readonly failures: readonly ActorEnd[];
}

/** Something outside from which messages may come: while it is held, `run()` waits. */
export interface OutsideToken {
  /** Nothing will come any more. Does nothing the second time. */
  release(): void;
}

const spaceTable = table('Dataspace', {
  signal: instance(AbortSignal, 'an AbortSignal'),
  burst: integer({ min: 1 }),
  slice: integer({ min: 1 }),
  sliceTime: milliseconds({ infinite: true }),
  queueLimit: integer({ min: 1 }),
  maxActors: integer({ min: 1 }),
  maxEndpoints: integer({ min: 1 }),
  onActorEnd: fn<(end: ActorEnd) => void>(),
});
const agreed: Agrees<typeof spaceTable, DataspaceOptions> = true;
void agreed;

const MOST_FAILURES = 32;

/**
 * A space in which actors meet by topic.
 *
 *     const space = new Dataspace();
 *     space.spawn((self) => self.subscribe(says(_, _), { onMessage: ({ topic }) => … topic.what … }));
 *     space.spawn((self) => self.send(says('ann', 'hello')));
 *     await space.run();
 *
 * It belongs to the current scope while it runs, and goes by its clock. Nothing that an actor does can break it.
 */
export class Dataspace {
  readonly #kernel: Kernel;
  readonly #onActorEnd: ((end: ActorEnd) => void) | undefined;
  readonly #controller = new AbortController();
  readonly #unlisten: (() => void) | undefined;
  #failed = 0;
  #failures: ActorEnd[] = [];
  #run: { readonly promise: Promise<SpaceSummary>; readonly resolve: (summary: SpaceSummary) => void } | undefined;
  #disown: (() => void) | undefined;

  /** @throws ERR_PORTSIDE_OPTIONS */
  constructor(given?: DataspaceOptions) {
    const options: DataspaceOptions = check(spaceTable, given);
    const { signal, burst = 16, slice = 4_096, sliceTime = 5, queueLimit = 1_000_000 } = options;
    const { maxActors = 1_000_000, maxEndpoints = 1_000_000 } = options;
    this.#onActorEnd = options.onActorEnd;
    this.#kernel = new Kernel({
      clock: currentClock(),
      burst,
      slice,
      sliceTime,
      queueLimit,
      maxActors,
      maxEndpoints,
      standIn: null,
      onEnd: (end) => this.#note(end),
      onIdle: () => this.#settle(),
    });
    if (signal === undefined) return;
    const abort = (): void => this.end();
    if (signal.aborted) abort();
    else {
      signal.addEventListener('abort', abort, { once: true });
      this.#unlisten = () => signal.removeEventListener('abort', abort);
    }
  }

  /** Aborts when the space ends. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Starts an actor, and gives its id. It boots when the space runs.
   *
   * @throws ERR_PORTSIDE_OPTIONS for what is no function, ERR_PORTSIDE_STATE in a turn (use `self.spawn`) and when the
   *   space has ended.
   */
  spawn(boot: Boot, options?: SpawnOptions): ActorId {
    if (this.#kernel.inTurn) throw notInTurn('spawn');
    if (this.#kernel.stopped) throw new PortsideError('ERR_PORTSIDE_STATE', 'the space has ended', { op: 'spawn' });
    const actor = createActor(this.#kernel, boot, options, null);
    this.#kernel.admit(actor);
    return actor.id;
  }

  /**
   * Runs the actors until nothing can wake any of them: no event waits, no promise is waited for, and no outside source
   * is held, here and in the spaces within. It never rejects. After that more may be spawned, and it may be run again; while it runs, each call gives
   * the same promise.
   *
   * @throws ERR_PORTSIDE_SCOPE_CLOSED when the current scope is closed.
   */
  run(): Promise<SpaceSummary> {
    if (this.#run !== undefined) return this.#run.promise;
    if (this.#kernel.stopped) return this.#over();
    this.#disown = currentScope()?.own({ what: 'dataspace', drop: () => this.#drop() });
    this.#run = Promise.withResolvers<SpaceSummary>();
    const { promise } = this.#run;
    this.#kernel.scheduler.start();
    return promise;
  }

  /**
   * Ends all actors, with the reason `stopped`; no handler is called any more, except in spaces within: their actors see
   * that whom they saw out here are gone, and then end too. In a turn it is done when that is over. Does nothing the
   * second time.
   */
  end(detail?: Datum): void {
    if (this.#kernel.stopped) return;
    const reason: EndReason = { kind: 'stopped', detail: toDetail(detail) };
    this.#unlisten?.();
    this.#kernel.stop(reason);
    this.#controller.abort(reason);
  }

  /** Registers something outside; `run()` waits until it is released. */
  outside(): OutsideToken {
    return { release: this.#kernel.hold(null) };
  }

  /** Actors, endpoints and who meets whom, as data. It takes as long as there are matches. */
  inspect(): SpaceReport {
    return inspect(this.#kernel);
  }

  /** {@link Dataspace.end}; resolves when the spaces within have ended too. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#drop();
  }

  async #drop(): Promise<void> {
    this.end();
    await this.#over();
  }

  #over(): Promise<SpaceSummary> {
    if (this.#run !== undefined) return this.#run.promise;
    if (this.#kernel.atRest) return Promise.resolve(this.#summary());
    this.#run = Promise.withResolvers<SpaceSummary>();
    return this.#run.promise;
  }

  #note(end: ActorEnd): void {
    if (isFailure(end.reason)) {
      this.#failed += 1;
      if (this.#failures.length < MOST_FAILURES) this.#failures.push(end);
    }
    try {
      this.#onActorEnd?.(end);
    } catch (error) {
      rethrowSoon(error);
    }
  }

  #settle(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    this.#kernel.scheduler.stop();
    this.#disown?.();
    this.#disown = undefined;
    run.resolve(this.#summary());
  }

  #summary(): SpaceSummary {
    const summary: SpaceSummary = {
      state: this.#kernel.stopped ? 'ended' : 'idle',
      failed: this.#failed,
      failures: this.#failures,
    };
    this.#failed = 0;
    this.#failures = [];
    return summary;
  }
}

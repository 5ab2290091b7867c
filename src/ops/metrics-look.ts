import { ownedByScope } from '../parallel/owned.ts';
import { LoopDelay } from '../server/loop-delay.ts';
import type { LoopDelays } from '../server/loop-delay.ts';
import { systemClock } from '../sync/clock.ts';
import { DrainLedger } from './drain-progress.ts';
import type { DrainProgress } from './drain-progress.ts';
import { LoopUse } from './loop-use.ts';
import { packageVersion } from './package-version.ts';
import type { Subject, SubjectStatus } from './subject.ts';
import { cpuTime } from './vitals.ts';
import type { Vitals } from './vitals.ts';

/** How one thread does. */
export interface ThreadLook {
  /** Its name, as the system has it too. */
  readonly name: string;
  /** How busy its event loop was, from 0 to 1. */
  readonly utilization: number;
  /** Milliseconds by which it was late; null where nobody has watched. */
  readonly delay: LoopDelays | null;
  /** Bytes of its heap in use; null where Node can't tell. */
  readonly heap: number | null;
  /** Connections that it has; null for the main thread. */
  readonly connections: number | null;
}

/** Everything that metrics are made of, at one moment. */
export interface MetricsLook {
  readonly subject: Subject;
  readonly status: SubjectStatus;
  readonly drain: DrainProgress | null;
  readonly threads: readonly ThreadLook[];
  /** Seconds of CPU time of the process, and bytes of its memory. */
  readonly cpu: Vitals['cpu'];
  readonly rss: number;
  readonly version: string;
}

/** Looks at a server for whoever makes metrics of it. Belongs to the scope that is current now. */
export class MetricsLooker implements AsyncDisposable {
  readonly #subject: Subject;
  readonly #drain: DrainLedger;
  readonly #disown: () => void;
  readonly #close: () => void;
  readonly #version: string = packageVersion();
  /** Begun with the first look, as timers come by it that nobody may want. */
  #delay: LoopDelay | null = null;
  readonly #use = new LoopUse();
  #closed = false;

  /** @param closed Called once, when it is closed. */
  constructor(what: string, subject: Subject, closed: () => void = () => {}) {
    this.#subject = subject;
    this.#close = closed;
    this.#disown = ownedByScope(what, () => this[Symbol.asyncDispose]());
    this.#drain = new DrainLedger(subject, systemClock);
  }

  /** How everything is now. */
  look(): MetricsLook {
    const subject = this.#subject;
    const status = subject.status();
    const { rss, heapUsed } = process.memoryUsage();
    if (!this.#closed) this.#delay ??= new LoopDelay();
    const main: ThreadLook = {
      name: 'main',
      utilization: this.#use.read(),
      delay: this.#delay?.read() ?? null,
      heap: heapUsed,
      connections: null,
    };
    return {
      subject,
      status,
      drain: this.#drain.read(status),
      threads: [main, ...workersOf(status)],
      cpu: cpuTime(),
      rss,
      version: this.#version,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#drain[Symbol.dispose]();
    this.#disown();
    this.#delay?.[Symbol.dispose]();
    this.#delay = null;
    this.#close();
    return Promise.resolve();
  }
}

/** One for each index: during a reload two workers have it, and are seen as one. */
function workersOf({ workers }: SubjectStatus): readonly ThreadLook[] {
  const byName = new Map<string, ThreadLook>();
  for (const { index, utilization, delay, heap, connections } of workers) {
    const name = `portside ${index}`;
    const one = byName.get(name);
    byName.set(name, {
      name,
      utilization: Math.max(utilization, one?.utilization ?? 0),
      delay: worse(delay, one?.delay ?? null),
      heap: heap === null && one?.heap == null ? null : (heap ?? 0) + (one?.heap ?? 0),
      connections: connections + (one?.connections ?? 0),
    });
  }
  return [...byName.values()];
}

function worse(a: LoopDelays | null, b: LoopDelays | null): LoopDelays | null {
  if (a === null || b === null) return a ?? b;
  return { p50: Math.max(a.p50, b.p50), p99: Math.max(a.p99, b.p99), max: Math.max(a.max, b.max) };
}

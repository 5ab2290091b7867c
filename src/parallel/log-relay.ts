import type { LogLevel, Logger } from '../server/logger.ts';
import { PlainLogger } from '../server/plain-logger.ts';

/** A line of a worker's log on its way to the parent. */
export interface RelayedLine {
  readonly level: LogLevel;
  readonly fields: Record<string, unknown>;
  readonly message: string | undefined;
}

/** Lines of a worker's log and, as they are, of its `verbose`; and how many were lost before them. */
export interface RelayedLines {
  readonly worker: number;
  readonly lines: readonly (RelayedLine | string)[];
  readonly lost: number;
  /** What they come to, which the parent gives back when it has them. */
  readonly weight: number;
}

/** Characters that may be on their way to the parent at a time. */
const MOST = 8_388_608;
/** What a line weighs beside its characters. */
const LINE = 64;

/**
 * Brings the lines of a worker to its parent, those of one turn together. Errors go at once, with all before them, and what is there when the thread ends by itself goes then. While the
 * parent is behind by more than 8 MiB, lines are counted instead.
 */
export class LogRelay {
  /** What its log goes to, with its index; undefined without one. */
  readonly logger: Logger | undefined;
  readonly #worker: number;
  readonly #post: (lines: RelayedLines) => void;
  #lines: (RelayedLine | string)[] = [];
  #weight = 0;
  #underWay = 0;
  #lost = 0;
  #asked = false;

  /** `level`: the least of its log; undefined: it has none. */
  constructor(worker: number, level: LogLevel | undefined, post: (lines: RelayedLines) => void) {
    this.#worker = worker;
    this.#post = post;
    const write: ConstructorParameters<typeof PlainLogger>[1] = (rank, fields, message, weight) =>
      this.#write({ level: rank, fields, message }, weight);
    this.logger = level === undefined ? undefined : new PlainLogger(level, write, { worker });
    process.once('exit', () => this.flush());
  }

  /** A line of `verbose`. */
  say(line: string): void {
    this.#write(line, LINE + line.length);
  }

  /** The parent has lines of this weight. */
  taken(weight: number): void {
    this.#underWay -= weight;
    if (this.#lost > 0) this.flush();
  }

  /** Sends what is there. */
  flush(): void {
    if (this.#lines.length === 0 && this.#lost === 0) return;
    const [lines, weight, lost] = [this.#lines, this.#weight, this.#lost];
    this.#lines = [];
    this.#weight = 0;
    this.#lost = 0;
    this.#underWay += weight;
    this.#post({ worker: this.#worker, lines, lost, weight });
  }

  #write(line: RelayedLine | string, weight: number): void {
    if (this.#underWay + this.#weight + weight > MOST) {
      this.#lost += 1;
      return;
    }
    this.#lines.push(line);
    this.#weight += weight;
    // Whoever says this may be about to end.
    if (typeof line !== 'string' && (line.level === 'error' || line.level === 'fatal')) this.flush();
    else if (!this.#asked) {
      this.#asked = true;
      setImmediate(() => {
        this.#asked = false;
        this.flush();
      });
    }
  }
}

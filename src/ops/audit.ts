/** One thing that somebody did to a server by its admin endpoint. */
export interface AuditEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Who: where the request came from, `unix` for a Unix domain socket, and whether it showed the token. */
  readonly peer: string;
  readonly token: boolean;
  /** `drain`, `connections/close`, … */
  readonly action: string;
  /** What was asked for, in short. */
  readonly asked: Readonly<Record<string, unknown>>;
  /** Whether it was done, or not. */
  readonly result: 'done' | 'refused';
  /** What came of it, or why it was refused. */
  readonly told: string;
}

/** How many actions are kept. */
const MOST = 1_000;

/** What was done to a server, the last thousand actions. */
export class AuditLog {
  readonly #entries: AuditEntry[] = [];
  readonly #tell: (entry: AuditEntry) => void;
  /** Since the start, those too that are not kept any more. */
  total = 0;

  /** `tell` hears of each as well. */
  constructor(tell: (entry: AuditEntry) => void) {
    this.#tell = tell;
  }

  /** The oldest first. */
  get entries(): readonly AuditEntry[] {
    return this.#entries;
  }

  add(entry: AuditEntry): void {
    this.total += 1;
    this.#entries.push(entry);
    if (this.#entries.length > MOST) this.#entries.shift();
    this.#tell(entry);
  }
}

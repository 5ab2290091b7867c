import { systemClock } from '../../sync/clock.ts';
import type { Clock } from '../../sync/clock.ts';
import { Scope } from '../../sync/scope.ts';
import type { TcpSettings } from './tcp-options.ts';

/** Something that ends with its driver. */
export interface Droppable {
  /** Ends it at once. */
  drop(): void;
}

/** One that has a name in topics. */
export interface Named {
  /** Whether it is the same connection to the system, which therefore knows it no more. */
  outlivedBy(local: string, remote: string): boolean;
  /** Ends it as reset, and calls `then` when its actor has ended. */
  giveWay(then: () => void): void;
}

/** Texts up to this length are kept encoded for the next one who sends the same. */
const SHORT = 65_536;

/** What the actors of one driver have in common. */
export class TcpSockets {
  readonly settings: TcpSettings;
  readonly clock: Clock;
  /** What owns the sockets; null where nobody has asked for more than the system's own. */
  readonly #scope: Scope | null;
  readonly #accepted = new Set<Droppable>();
  /** Those that are to be told when there is room. */
  readonly #waiting = new Set<() => void>();
  /** The last bind of each port that may be under way. */
  readonly #binds = new Map<number, Promise<unknown>>();
  /** Accepted connections by what they are called by in topics. */
  readonly #names = new Map<string, Named>();
  #text = '';
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(settings: TcpSettings, around: Scope | undefined, clock: Clock) {
    this.settings = settings;
    this.clock = clock;
    const plain = around === undefined && clock === systemClock;
    this.#scope = plain ? null : new Scope({ name: 'tcpDriver', parent: around ?? null, clock });
  }

  /** Calls what opens sockets, so that they belong where the driver does. */
  within<T>(open: () => T): T {
    return this.#scope === null ? open() : this.#scope.run(open);
  }

  /**
   * Binds a port, once binds of the same one that began before are over: one that was called off holds its port until then.
   * Rejects as `bind` does.
   */
  bind<T>(port: number, bind: () => Promise<T>): Promise<T> {
    if (port === 0) return this.within(bind);
    const before = this.#binds.get(port) ?? Promise.resolve();
    const bound = before.then(() => this.within(bind));
    const over: Promise<void> = bound.then(
      () => this.#bindOver(port, over),
      () => this.#bindOver(port, over),
    );
    this.#binds.set(port, over);
    return bound;
  }

  /** How many more connections may be accepted now. */
  get room(): number {
    return this.settings.maxConnections - this.#accepted.size;
  }

  /** Tells somebody, once, when there is room. */
  whenRoom(tell: () => void): void {
    this.#waiting.add(tell);
  }

  /** Somebody need not be told any more. */
  noMatter(tell: () => void): void {
    this.#waiting.delete(tell);
  }

  /** One more was accepted. */
  enter(one: Droppable): void {
    this.#accepted.add(one);
  }

  /** One that was accepted is over. */
  leave(one: Droppable): void {
    this.#accepted.delete(one);
    if (this.#waiting.size === 0) return;
    const told = [...this.#waiting];
    this.#waiting.clear();
    for (const tell of told) tell();
  }

  /**
   * Gives a connection the name that it is to have in topics; or gives who has it, since two of one name would hear each other.
   */
  name(name: string, one: Named): Named | undefined {
    const other = this.#names.get(name);
    if (other === undefined) this.#names.set(name, one);
    return other;
  }

  /** A name is free again. */
  unname(name: string, one: Named): void {
    if (this.#names.get(name) === one) this.#names.delete(name);
  }

  /** A text in UTF-8. What is said to everybody is encoded once. */
  bytesOf(text: string): Uint8Array {
    if (text === this.#text) return this.#bytes;
    const bytes = Buffer.from(text, 'utf8');
    if (text.length <= SHORT) {
      this.#text = text;
      this.#bytes = bytes;
    }
    return bytes;
  }

  /** The driver has ended. */
  close(): void {
    for (const one of [...this.#accepted]) one.drop();
    void this.#scope?.close();
  }

  #bindOver(port: number, which: Promise<unknown>): void {
    if (this.#binds.get(port) === which) this.#binds.delete(port);
  }
}

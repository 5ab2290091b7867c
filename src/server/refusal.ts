import type { PortsideError } from '../base/errors.ts';
import { byteCount, bytes, checkValue, fn, object, oneOf, required, that, union } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import type { Clock } from '../sync/clock.ts';
import { Deadline } from '../sync/deadline.ts';
import type { Address } from '../transport/address.ts';
import type { Channel, ChannelEnd, Sink } from '../transport/contract.ts';

/** Why a connection was not let in. */
export type Refusal =
  /** Its address is on the list of those that must not come. */
  | { readonly kind: 'denied' }
  /** There is a list of those that may come, and its address is not on it. */
  | { readonly kind: 'not-allowed' }
  /** The client connects too often; it may again after `retryAfter` milliseconds. */
  | { readonly kind: 'rate'; readonly client: string; readonly retryAfter: number }
  /** The server has all the connections that it may. */
  | { readonly kind: 'full'; readonly limit: number }
  /** The client has all the connections that it may. */
  | { readonly kind: 'client-full'; readonly client: string; readonly limit: number }
  /** As many handshakes as there may be are under way. */
  | { readonly kind: 'handshakes-full'; readonly limit: number }
  /** Its PROXY header is missing, wrong, or from an address that is not trusted. */
  | { readonly kind: 'proxy'; readonly error: PortsideError }
  /** The server is stopping. */
  | { readonly kind: 'stopping' };

/** What tells refusals apart. */
export type RefusalKind = Refusal['kind'];

const everyKind: Readonly<Record<RefusalKind, 0>> = {
  denied: 0,
  'not-allowed': 0,
  rate: 0,
  full: 0,
  'client-full': 0,
  'handshakes-full': 0,
  proxy: 0,
  stopping: 0,
};

/** All kinds of refusals. */
export const refusalKinds: readonly RefusalKind[] = Object.freeze(Object.keys(everyKind) as RefusalKind[]);

/** How many were refused since the start, exactly, by kind. */
export class RefusalCounts {
  readonly #counts: Record<RefusalKind, number> = { ...everyKind };

  /** One more. */
  add(refusal: Refusal): void {
    this.#counts[refusal.kind]++;
  }

  /** All together. */
  get total(): number {
    let total = 0;
    for (const kind of refusalKinds) total += this.#counts[kind];
    return total;
  }

  /** The counts as they are now, in an object of their own, with a number for each kind. */
  snapshot(): Record<RefusalKind, number> {
    return { ...this.#counts };
  }
}

/** Bytes of a goodbye at most, and bytes that are read and dropped at most while it is on its way. */
const MOST_BYTES = 65_536;
/** Milliseconds that a goodbye may take. */
const LONGEST = 1_000;
/** How many goodbyes may be on their way at a time, by default. */
const MOST_LINGERING = 256;

/** Says something to a client that is refused. */
export interface Goodbye {
  /** Up to 64 KiB; text goes as UTF-8. */
  readonly send: Uint8Array | string;
  /**
   * `close`: ends in order, and gives the client a second to take what was sent. `reset`: resets as soon as the kernel has the bytes, which costs the server
   * least; a client that is far away, or not on Linux, may see the reset without the bytes. @default 'close'
   */
  readonly then?: 'close' | 'reset' | undefined;
}

/** What a client that is refused sees, when it is the same for each. */
export type RefusedWith = 'close' | 'reset' | Goodbye;

/**
 * What a client that is refused sees. `reset`: a reset, where there is one (TCP). `close`: the end of the stream, at once and without reading; a client
 * that has sent something may see a reset instead. {@link Goodbye}: some bytes first. Or a function that tells which.
 */
export type RefuseWith = RefusedWith | ((refusal: Refusal, remote: Address) => RefusedWith);

const sendRule = required(
  union(
    bytes(),
    that<string>('a string', (value) => typeof value === 'string'),
  ),
);
// oxlint-disable-next-line unicorn/no-thenable -- a rule is no function, nor is the option's value
const goodbyeRule: Rule<Goodbye> = object({ send: sendRule, then: oneOf('close', 'reset') }, ({ send }, problem) => {
  const length = typeof send === 'string' ? Buffer.byteLength(send) : send.length;
  if (length > MOST_BYTES) problem('send', `must be at most ${MOST_BYTES} bytes, got ${length}`);
});
const refusedWithRule: Rule<RefusedWith> = union(oneOf('close', 'reset'), goodbyeRule);

/** The rule for {@link RefuseWith}. */
export const refuseWithRule: Rule<RefuseWith> = union(
  oneOf('close', 'reset'),
  goodbyeRule,
  fn<(refusal: Refusal, remote: Address) => RefusedWith>(),
);

const limitRule = byteCount();

/** The goodbyes that are on their way, and how many there may be. */
export class Goodbyes {
  /** How many there may be at a time; a client for whom there is no room is reset. */
  readonly limit: number;
  readonly #lingering = new Set<Channel>();

  /** @param limit 0 or more; 256 by default. Throws ERR_PORTSIDE_OPTIONS. */
  constructor(limit: number = MOST_LINGERING) {
    this.limit = checkValue('Goodbyes', 'limit', limitRule, limit);
  }

  /** How many are on their way. */
  get size(): number {
    return this.#lingering.size;
  }

  /** Resets all of them. */
  cut(): void {
    for (const channel of this.#lingering) channel.destroy('reset');
  }

  /** @internal Whether there is room for one more, which has it then. */
  enter(channel: Channel): boolean {
    if (this.#lingering.size >= this.limit) return false;
    this.#lingering.add(channel);
    return true;
  }

  /** @internal */
  leave(channel: Channel): void {
    this.#lingering.delete(channel);
  }
}

/** Those of whoever brings none of his own: one bound for the process. */
const everyones = new Goodbyes();

/**
 * Refuses a connection that nobody reads yet, and resolves when it is over: within a second or so.
 *
 * A goodbye ends in order: its bytes and the end of the stream are sent, and what the client sends is read and dropped until it ends too, because the system answers a close with
 * unread input by a reset, which would overtake the bytes. It ends after a second in any case; after 64 KiB nothing more is read, and the rest waits
 * unread. The channel has to be without TLS: the bytes go as they are.
 *
 * Rejects with what the function in `how` threw, or with ERR_PORTSIDE_OPTIONS when it gave something that is no answer; the connection is reset then.
 */
export function refuse(
  channel: Channel,
  refusal: Refusal,
  how: RefuseWith,
  clock: Clock,
  goodbyes: Goodbyes = everyones,
): Promise<void> {
  if (channel.closed) return Promise.resolve();
  return new Promise((resolve, reject) => {
    let answer: RefusedWith;
    try {
      answer = typeof how === 'function' ? answerOf(how(refusal, channel.remote)) : how;
    } catch (error) {
      channel.sink = new Farewell(channel, clock, goodbyes, () => reject(error));
      channel.destroy('reset');
      return;
    }
    const farewell = new Farewell(channel, clock, goodbyes, resolve);
    channel.sink = farewell;
    farewell.begin(answer);
  });
}

function answerOf(answer: unknown): RefusedWith {
  return checkValue('refuse', 'the answer', refusedWithRule, answer);
}

/** The end of one connection. */
class Farewell implements Sink {
  readonly #channel: Channel;
  readonly #goodbyes: Goodbyes;
  readonly #clock: Clock;
  readonly #over: () => void;
  #deadline: Deadline | null = null;
  #resets = false;
  #dropped = 0;

  constructor(channel: Channel, clock: Clock, goodbyes: Goodbyes, over: () => void) {
    this.#channel = channel;
    this.#clock = clock;
    this.#goodbyes = goodbyes;
    this.#over = over;
  }

  begin(answer: RefusedWith): void {
    const channel = this.#channel;
    if (answer === 'close') channel.destroy('flush');
    else if (answer === 'reset' || !this.#goodbyes.enter(channel)) channel.destroy('reset');
    else this.#say(answer);
  }

  #say({ send, then }: Goodbye): void {
    const channel = this.#channel;
    this.#deadline = new Deadline(this.#clock, () => this.#late());
    this.#deadline.arm(LONGEST);
    this.#resets = then === 'reset';
    channel.send(typeof send === 'string' ? Buffer.from(send) : send);
    if (this.#resets) channel.wantWritable();
    else channel.shutdown();
    channel.flow(true);
  }

  /** In order while that is possible: what is with the kernel may still arrive. */
  #late(): void {
    this.#channel.destroy(this.#resets || this.#channel.queued > 0 ? 'reset' : 'drop');
  }

  data(received: Uint8Array): void {
    this.#dropped += received.length;
    if (this.#dropped >= MOST_BYTES) this.#channel.flow(false);
  }

  end(): void {
    // The channel closes by itself once its own output is out.
  }

  writable(): void {
    if (this.#resets) this.#channel.destroy('reset');
  }

  close(_end: ChannelEnd): void {
    this.#deadline?.disarm();
    this.#goodbyes.leave(this.#channel);
    this.#over();
  }
}

import { show } from '../base/show.ts';
import { wrongTopic } from './topic-error.ts';
import type { AnyHole, Capture, Wildcard } from './topic-types.ts';

/** A place in a topic that is open: a wildcard, or a capture when it has a name. */
export class Hole {
  readonly #name: string | null;

  constructor(name: string | null) {
    this.#name = name;
  }

  /** Whether a value that is in a topic is a hole. */
  static is(value: object): value is Hole {
    return value instanceof Hole;
  }

  /** Whether any value is a hole, and not only one that has its prototype. */
  static made(value: object): value is Hole {
    return #name in value;
  }

  /** The name that it captures by; null for a wildcard. */
  static nameOf(hole: Hole): string | null {
    return hole.#name;
  }
}

class CaptureHole<N extends string> extends Hole {
  readonly name: N;

  constructor(name: N) {
    super(name);
    this.name = name;
    Object.freeze(this);
  }

  of(): this {
    return this;
  }
}

/** The one wildcard, as the inside of the dataspace knows it. */
export const hole: Hole = new Hole(null);
Object.freeze(hole);

/**
 * The wildcard: any one value may stand in its place. Each use of it is a place of its own.
 *
 *     self.observePublishers(tcpChannel(_, tcpListener(5999), _), …)
 */
export const _: Wildcard = hole as unknown as Wildcard;

/**
 * A wildcard with a name: handlers find what stands in its place among their bindings.
 *
 *     self.subscribe(says(capture('who'), _), { onMessage: ({ bindings }) => bindings.who … })
 *
 * Within a record it has the type that the record declares for its field; elsewhere `capture('who').of<string>()` says
 * one. A name stands in one place of a pattern: the endpoint that is given it twice throws `ERR_PORTSIDE_TOPIC`.
 *
 * @throws ERR_PORTSIDE_TOPIC when the name is empty, `__proto__`, or no string.
 */
export function capture<const N extends string>(name: N): Capture<N> {
  checkName('a capture', name);
  return new CaptureHole(name) as unknown as Capture<N>;
}

/**
 * Whether a value is an open place: {@link _}, or a {@link capture}. In the topic of a presence a field is open where
 * neither of the two endpoints said what it is, whatever its type says; in a message nothing is.
 */
export function isHole(value: unknown): value is AnyHole {
  return typeof value === 'object' && value !== null && Hole.made(value);
}

/** Throws unless a text can name a field or capture. `__proto__` can't: on many objects it is a setter. */
export function checkName(whose: string, name: unknown): void {
  if (typeof name === 'string' && name !== '' && name !== '__proto__') return;
  throw wrongTopic(`${whose} needs a name, a text that is not empty and not "__proto__", got ${show(name)}`);
}

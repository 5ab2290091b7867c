import { writeName } from '../../examples/dns/names.ts';

/** A record by its parts; the name is a pointer to the question's where it is left out. */
export interface BuiltRecord {
  readonly name?: Uint8Array | undefined;
  readonly type: number;
  readonly ttl: number;
  readonly data: Uint8Array;
  /** Of an OPT the size that its sender takes. */
  readonly class?: number | undefined;
}

/** A message by its parts. */
export interface Built {
  readonly id?: number | undefined;
  readonly flags?: number | undefined;
  readonly name?: string | undefined;
  readonly type?: number | undefined;
  readonly class?: number | undefined;
  readonly answers?: readonly BuiltRecord[] | undefined;
  readonly authorities?: readonly BuiltRecord[] | undefined;
  readonly additionals?: readonly BuiltRecord[] | undefined;
}

const TO_QUESTION = Uint8Array.of(0xc0, 12);
const ROOT = new Uint8Array(1);

/** A message as bytes. */
export function build(built: Built): Uint8Array {
  const { id = 0, flags = 0, name = 'host.example', type = 1, class: kind = 1 } = built;
  const { answers = [], authorities = [], additionals = [] } = built;
  const counts = [1, answers.length, authorities.length, additionals.length];
  const records = [...answers, ...authorities, ...additionals].map(buildRecord);
  return Buffer.concat([words(id, flags, ...counts), writeName(name), words(type, kind), ...records]);
}

function buildRecord({ name = TO_QUESTION, type, ttl, data, class: kind = 1 }: BuiltRecord): Uint8Array {
  return Buffer.concat([name, words(type, kind, ttl >>> 16, ttl & 0xffff, data.length), data]);
}

/** Numbers of two bytes. */
export function words(...numbers: readonly number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 0xff]));
}

/** An address, of type A. */
export function address(last: number, ttl: number): BuiltRecord {
  return { type: 1, ttl, data: Uint8Array.of(192, 0, 2, last) };
}

/** A text, of type TXT. */
export function text(length: number, ttl: number): BuiltRecord {
  return { type: 16, ttl, data: Uint8Array.from([length, ...Buffer.alloc(length, 'x')]) };
}

/** What says for how long something is not there. */
export function soa(ttl: number, minimum: number): BuiltRecord {
  const numbers = words(0, 1, 0, 2, 0, 3, 0, 4, minimum >>> 16, minimum & 0xffff);
  return { type: 6, ttl, data: Buffer.concat([TO_QUESTION, TO_QUESTION, numbers]) };
}

/** What a side says about itself. */
export function opt(size: number, options: { readonly ttl?: number; readonly data?: Uint8Array } = {}): BuiltRecord {
  return { name: ROOT, type: 41, class: size, ttl: options.ttl ?? 0, data: options.data ?? new Uint8Array() };
}

import { show } from '../base/show.ts';
import { checkName } from './hole.ts';
import { wrongTopic } from './topic-error.ts';
import type { Datum, FieldTypes, GivenFields, MakerArguments, RecordPattern, TopicRecord } from './topic-types.ts';
import { admit, admitSimple, makeRecord, noteNames, RecordValue } from './value.ts';
import type { RecordShape, Value } from './value.ts';

/** Makes the records of one label, and patterns of them. */
export interface RecordMaker<L extends string, N extends readonly string[], F extends object> {
  /**
   * A frozen record with a value, a pattern or a hole for each field, in order.
   *
   * @throws ERR_PORTSIDE_TOPIC when their number is wrong or one is not plain data, ERR_PORTSIDE_LIMIT when the
   *   record becomes larger than topics may be (64 levels, 65,536 values).
   */
  <const A extends MakerArguments<N, F>>(...fields: A): RecordPattern<L, F, GivenFields<N, A>>;
  /** The label of its records. */
  readonly label: L;
  /** The names of their fields, in order. */
  readonly names: N;
  /** The same maker, its fields declared: `.of<{ who: string; what: string }>()`. Only the compiler checks them. */
  of<G extends FieldTypes<N>>(): RecordMaker<L, N, G>;
  /** Whether a value is a record of this label with fields of these names. Their types are not looked at. */
  is(value: unknown): value is TopicRecord<L, F>;
}

/** The records that a maker makes: `type TcpAddress = RecordOf<typeof tcpAddress>`. */
export type RecordOf<M> = M extends RecordMaker<infer L, infer _N, infer F> ? TopicRecord<L, F> : never;

const MAX_FIELDS = 64;

/**
 * Declares a kind of record and gives its maker.
 *
 *     const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
 *     says('ann', 'hello').who            // 'ann'
 *     self.subscribe(says(_, _), …)       // whoever says whatever
 *
 * Records match by their label and the number of their fields, and are compared by value; makers of the same label and
 * number make records that match, whoever declared them. Fields may be called anything but `__proto__`.
 *
 * @throws ERR_PORTSIDE_TOPIC when the label or a field's name is empty, a name occurs twice, or there are over 64.
 */
export function record<const L extends string, const N extends readonly string[]>(
  label: L,
  names: N,
): RecordMaker<L, N, Record<N[number], Datum>> {
  if (typeof label !== 'string' || label === '')
    throw wrongTopic(`a record needs a label, a text that is not empty, got ${show(label)}`);
  if (!Array.isArray(names) || names.length > MAX_FIELDS)
    throw wrongTopic(
      `the record ${show(label)} needs a list of at most ${MAX_FIELDS} names of fields, got ${show(names)}`,
    );
  for (const name of names) checkName(`a field of the record ${show(label)}`, name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw wrongTopic(`the record ${show(label)} has two fields called ${show(twice)}`);

  // A class of its own: a debugger shows the label, and two kinds with the same fields are different to assert.deepEqual.
  const make = class extends RecordValue {};
  Object.defineProperty(make, 'name', { value: label });
  const shape: RecordShape = {
    label,
    names: Object.freeze([...names]),
    key: `${names.length} ${label}`,
    shadows: names.some((name) => name in RecordValue.prototype),
    make,
  };
  noteNames(shape);
  const maker = (...fields: unknown[]): RecordValue => fromFields(shape, fields);
  Object.defineProperty(maker, 'name', { value: label });
  const is = (value: unknown): boolean => isOfShape(value, shape);
  const whole = Object.assign(maker, { label, names: shape.names, is, of: () => whole });
  return Object.freeze(whole) as unknown as RecordMaker<L, N, Record<N[number], Datum>>;
}

/** Whether a value is a record, of whatever label. */
export function isRecord(value: unknown): value is TopicRecord<string, object> {
  return typeof value === 'object' && value !== null && RecordValue.made(value);
}

/** The label of a record. */
export function labelOf(of: TopicRecord<string, object>): string {
  return RecordValue.core(of as unknown as RecordValue).shape.label;
}

function fromFields(shape: RecordShape, fields: unknown[]): RecordValue {
  const { names, label } = shape;
  if (fields.length !== names.length)
    throw wrongTopic(`${label} has ${names.length} fields (${names.join(', ')}), and was given ${fields.length}`);
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    fields[i] = admitSimple(field) ?? admit(field, () => `${label}.${names[i] ?? ''}`);
  }
  return makeRecord(shape, fields as Value[]);
}

function isOfShape(value: unknown, shape: RecordShape): boolean {
  if (typeof value !== 'object' || value === null || !RecordValue.made(value)) return false;
  const own = RecordValue.core(value).shape;
  if (own === shape) return true;
  return own.key === shape.key && own.names.every((name, i) => name === shape.names[i]);
}

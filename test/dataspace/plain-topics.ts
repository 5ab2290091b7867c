import fc from 'fast-check';
import { _, capture } from '../../src/dataspace/hole.ts';
import { record } from '../../src/dataspace/record.ts';
import type { RecordMaker } from '../../src/dataspace/record.ts';
import type { Datum, Scalar, Topic } from '../../src/dataspace/topic-types.ts';

/** A topic in the plainest terms, from which a real one is made: what the naive reference is written on. */
export type Plain =
  | { readonly kind: 'hole'; readonly name: string | null }
  | { readonly kind: 'scalar'; readonly value: Scalar }
  | { readonly kind: 'bytes'; readonly bytes: readonly number[] }
  | { readonly kind: 'list'; readonly items: readonly Plain[] }
  | { readonly kind: 'record'; readonly label: string; readonly own: boolean; readonly items: readonly Plain[] };

type Maker = RecordMaker<string, readonly string[], Record<string, Datum>>;

/** Two makers of one label and arity with names of their own; names that objects inherit are among them. */
function makersOf(label: string, arity: number): readonly [Maker, Maker] {
  const theirs = ['constructor', 'toString', 'then', 'length'];
  return [
    record(
      label,
      Array.from({ length: arity }, (_none, i) => `f${i}`),
    ),
    record(label, theirs.slice(0, arity)),
  ] as unknown as readonly [Maker, Maker];
}

const LABELS = ['a', 'b', '1 a'];
const MAKERS: ReadonlyMap<string, readonly (readonly [Maker, Maker])[]> = new Map(
  LABELS.map((label) => [label, [0, 1, 2, 3, 4].map((arity) => makersOf(label, arity))]),
);

/** The topic that a plain one describes. Captures are called apart by where they stand when they have no name. */
export function realTopic(plain: Plain): Topic {
  switch (plain.kind) {
    case 'hole':
      return plain.name === null ? _ : capture(plain.name);
    case 'scalar':
      return plain.value;
    case 'bytes':
      return Uint8Array.from(plain.bytes);
    case 'list':
      return plain.items.map(realTopic);
    case 'record': {
      const maker = MAKERS.get(plain.label)![plain.items.length]![plain.own ? 0 : 1];
      return maker(...plain.items.map(realTopic));
    }
  }
}

/** A text for each topic: the same where they are equal, by the rules as they are promised and nothing else. */
export function textOf(plain: Plain): string {
  switch (plain.kind) {
    case 'hole':
      return '"_"';
    case 'scalar':
      return typeof plain.value === 'number' ? `number ${plain.value + 0}` : `=${JSON.stringify(plain.value)}`;
    case 'bytes':
      return `bytes ${plain.bytes.join(' ')}`;
    case 'list':
      return `[${plain.items.map(textOf).join(', ')}]`;
    case 'record':
      return `${JSON.stringify(plain.label)}(${plain.items.map(textOf).join(', ')})`;
  }
}

/** What two topics have in common, the naive way; null where there is nothing. */
export function naiveMeet(a: Plain, b: Plain): Plain | null {
  if (a.kind === 'hole') return open(b);
  if (b.kind === 'hole') return open(a);
  if (a.kind === 'list' && b.kind === 'list') {
    const items = meetAll(a.items, b.items);
    return items === null ? null : { kind: 'list', items };
  }
  if (a.kind === 'record' && b.kind === 'record') {
    const items = a.label === b.label ? meetAll(a.items, b.items) : null;
    return items === null ? null : { ...a, items };
  }
  return textOf(a) === textOf(b) ? a : null;
}

function meetAll(a: readonly Plain[], b: readonly Plain[]): Plain[] | null {
  if (a.length !== b.length) return null;
  const met = a.map((item, i) => naiveMeet(item, b[i]!));
  return met.includes(null) ? null : (met as Plain[]);
}

/** The same topic with wildcards for captures. */
export function open(plain: Plain): Plain {
  if (plain.kind === 'hole') return { kind: 'hole', name: null };
  return 'items' in plain ? { ...plain, items: plain.items.map(open) } : plain;
}

/** The captures in a topic, in order. */
export function capturesIn(plain: Plain): string[] {
  if (plain.kind === 'hole') return plain.name === null ? [] : [plain.name];
  return 'items' in plain ? plain.items.flatMap(capturesIn) : [];
}

export function isGroundPlain(plain: Plain): boolean {
  if (plain.kind === 'hole') return false;
  return !('items' in plain) || plain.items.every(isGroundPlain);
}

const SCALARS: readonly Scalar[] = [
  ...[0, -0, 1, -1, 1.5, Number.NaN, 2 ** 31, -(2 ** 31), 1e300, Number.POSITIVE_INFINITY],
  ...['', 'x', '#1.5', '1.5', '#x', '##x', '_', 'NaN', '\0', 'null'],
  ...[true, false, null],
];

const scalar: fc.Arbitrary<Plain> = fc.constantFrom(...SCALARS).map((value) => ({ kind: 'scalar', value }));
const bytes: fc.Arbitrary<Plain> = fc
  .constantFrom([], [120], [49], [1, 2], [1, 3])
  .map((content) => ({ kind: 'bytes', bytes: content }));
const wildcard: fc.Arbitrary<Plain> = fc.constant({ kind: 'hole', name: null });
const captured: fc.Arbitrary<Plain> = fc
  .constantFrom('constructor', 'toString', 'who', 'what')
  .map((name) => ({ kind: 'hole', name }));

/** Topics of a few labels, scalars and levels, so that two of them meet often. */
export function plainTopics(options: { readonly holes: boolean; readonly captures?: boolean }): fc.Arbitrary<Plain> {
  const leaves = [
    { arbitrary: scalar, weight: 4 },
    { arbitrary: bytes, weight: 1 },
    ...(options.holes ? [{ arbitrary: wildcard, weight: 3 }] : []),
    ...(options.captures === true ? [{ arbitrary: captured, weight: 2 }] : []),
  ];
  const { topic } = fc.letrec<{ topic: Plain }>((tie) => {
    const items = fc.array(tie('topic'), { maxLength: 4 });
    return {
      topic: fc.oneof(
        { maxDepth: 3 },
        ...leaves,
        { arbitrary: items.map((list): Plain => ({ kind: 'list', items: list })), weight: 1 },
        {
          arbitrary: fc
            .record({ label: fc.constantFrom(...LABELS), own: fc.boolean(), items })
            .map((given): Plain => ({ kind: 'record', ...given })),
          weight: 4,
        },
      ),
    };
  });
  return topic;
}

/** A topic and another that was made of it by opening and changing some places, so that the two are alike. */
export function likePairs(): fc.Arbitrary<readonly [Plain, Plain]> {
  return fc
    .tuple(plainTopics({ holes: true }), fc.infiniteStream(fc.nat({ max: 11 })), scalar)
    .map(([a, dice, other]) => {
      const change = (plain: Plain): Plain => {
        const roll = dice.next().value as number;
        if (roll < 2) return { kind: 'hole', name: null };
        if (roll === 2) return other;
        if (plain.kind === 'record') return { ...plain, own: roll % 2 === 0, items: plain.items.map(change) };
        return 'items' in plain ? { ...plain, items: plain.items.map(change) } : plain;
      };
      return [a, change(a)] as const;
    });
}

/**
 * The types of topics. A field that holds a constant has the constant's own type, one that holds a wildcard or capture
 * the type that its record declares; nested records and lists go the same way.
 *
 * What is marked with the symbols below is only for the compiler; nothing has these members when it runs.
 */
declare const label: unique symbol;
declare const declared: unique symbol;
declare const holes: unique symbol;
declare const wild: unique symbol;
declare const captured: unique symbol;
declare const undeclared: unique symbol;

/** What has no parts and is compared by value. */
export type Scalar = string | number | boolean | null;

/** Plain data without holes, as messages are: scalars, bytes, lists and records of such. */
export type Datum = Scalar | Uint8Array | readonly Datum[] | AnyRecord<never>;

/** Plain data in which holes may stand: what endpoints publish and subscribe to. A message is a topic too. */
export type Topic = Scalar | Uint8Array | readonly Topic[] | AnyRecord | AnyHole;

/** `_`, which any one value may fill. */
export interface Wildcard {
  readonly [wild]: true;
}

/** The type of what a capture takes is that of the place where it stands. */
export interface Undeclared {
  readonly [undeclared]: true;
}

/** A wildcard with a name, by which handlers find what filled it. */
export interface Capture<N extends string = string, T = Undeclared> {
  readonly [captured]: T;
  /** What it is called. */
  readonly name: N;
  /**
   * The same capture with a type of its own, for places that declare none:
   * `[capture('room').of<string>(), _]`. Nothing checks the type when it runs.
   */
  of<U extends Datum>(): Capture<N, U>;
}

/** A wildcard or a capture. */
export type AnyHole = Wildcard | Capture<string, unknown>;

/** What the compiler knows of a record: its label, its fields' declared types, and the holes in it. */
export interface AnyRecord<H = unknown, L extends string = string, F = object> {
  readonly [label]: L;
  readonly [declared]: F;
  readonly [holes]: H;
}

/** A record without holes: `type TcpAddress = TopicRecord<'tcp-address', { host: string; port: number }>`. */
export type TopicRecord<L extends string, F extends object> = AnyRecord<never, L, F> & Readonly<F>;

/** A record of declared fields `F`, of which these are given: constants, and holes. */
export type RecordPattern<L extends string, F extends object, G> = AnyRecord<HolesIn<F, G>, L, F> & Readonly<G>;

/** What fields have to be declared with, by their names. */
export type FieldTypes<N extends readonly string[]> = Readonly<Record<N[number], Datum>>;

/** What may stand where a `T` is declared: a `T`, a pattern of one, or a hole. */
export type PatternOf<T> = [Datum] extends [T] ? Topic : Wildcard | Capture<string, T> | Capture | Filling<T>;

/** What may be given for a `T`, but for holes. */
export type Filling<T> =
  T extends AnyRecord<unknown, infer L, infer F>
    ? AnyRecord<unknown, L, F>
    : T extends Uint8Array
      ? T
      : T extends readonly unknown[]
        ? number extends T['length']
          ? PatternList<T[number]>
          : { readonly [I in keyof T]: PatternOf<T[I]> }
        : T;

// An interface, since what is in it is looked at only when it is needed: lists may hold lists of their own kind.
export interface PatternList<T> extends ReadonlyArray<PatternOf<T>> {}

/** The arguments of a record's maker: a pattern for each field, in order. */
export type MakerArguments<N extends readonly string[], F> = {
  readonly [I in keyof N]: N[I] extends keyof F ? PatternOf<F[N[I]]> : never;
};

/** The arguments by the names of the fields that they are for. */
export type GivenFields<N extends readonly string[], A extends readonly unknown[]> = {
  readonly [I in Extract<keyof N, `${number}`> as N[I] & string]: I extends keyof A ? A[I] : never;
};

/** The holes in the given fields of a record. */
export type HolesIn<F, G> = { [K in keyof G & keyof F]: HolesAt<F[K], G[K]> }[keyof G & keyof F];

/** The holes in a `G` that stands where a `D` is declared. */
export type HolesAt<D, G> = G extends Wildcard
  ? Wildcard
  : G extends Capture<infer N, infer T>
    ? Capture<N, Taken<D, T>>
    : G extends Datum
      ? never
      : G extends AnyRecord<infer H>
        ? H
        : G extends readonly (infer E)[]
          ? [Topic] extends [E]
            ? AnyHole
            : HolesAt<ElementOf<D>, E>
          : never;

/** What a capture takes. */
export type Taken<D, T> = [T] extends [Undeclared] ? D : T;

/** What a list of this type holds. */
export type ElementOf<D> = D extends Uint8Array ? never : D extends readonly (infer E)[] ? E : never;

// A place that declares no list has Datum's own elements, so that what fills a bare list is still known to be data.
export type ElementAt<D> = [ElementOf<D>] extends [never] ? Datum : ElementOf<D>;

/**
 * What a handler sees of a topic that a pattern met: constants as they are, holes filled with what is declared there.
 * Of a pattern of which nothing is known, any topic.
 */
export type TopicOf<P> = [Topic] extends [P] ? Topic : Met<Datum, P>;

/** What meets a `G` where a `D` is declared. */
export type Met<D, G> = G extends Wildcard
  ? D
  : G extends Capture<string, infer T>
    ? Taken<D, T>
    : G extends Datum
      ? G
      : G extends AnyRecord<unknown, infer L, infer F extends object>
        ? TopicRecord<L, { [K in keyof F]: K extends keyof G ? Met<F[K], G[K]> : F[K] }>
        : G extends readonly unknown[]
          ? number extends G['length']
            ? MetList<ElementAt<D>, G[number]>
            : { readonly [I in keyof G]: Met<ElementAt<D>, G[I]> }
          : G;

export interface MetList<D, G> extends ReadonlyArray<Met<D, G>> {}

/** The captures of a pattern by name, each with the type of what fills it. */
export type BindingsOf<P> = [Topic] extends [P]
  ? Readonly<Record<string, Topic>>
  : Named<Extract<HolesAt<Datum, P>, Capture<string, unknown>>>;

/** Captures by their names. */
export type Named<C extends Capture<string, unknown>> = { readonly [X in C as X['name']]: X[typeof captured] };

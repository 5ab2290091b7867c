import { expectTypeOf } from 'expect-type';
import { describe, test } from 'node:test';
import type { Codec } from '../../src/codec/codec.ts';
import { jsonLines } from '../../src/codec/json-lines.ts';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import type { CloseReason } from '../../src/net/close-reason.ts';
import type { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { isConnection } from '../../src/net/connection.ts';
import type { Group } from '../../src/net/group.ts';
import type { Listener } from '../../src/net/listener.ts';
import { isListener } from '../../src/net/listener.ts';
import type { pipe, PipeResult } from '../../src/net/pipe.ts';
import type { reconnecting } from '../../src/net/reconnecting.ts';
import { after, map, never, select } from '../../src/sync/evt.ts';
import type { Evt } from '../../src/sync/evt.ts';

interface Session {
  name: string;
}

// Nothing here runs but the checks of types, which the compiler makes; values only lend their types.
const conn = {} as Connection<Session>;
const plain = {} as Connection;
const listener = {} as Listener;

/** The type of what a call would give, without making it. */
type Given<F extends (...args: never[]) => unknown> = Awaited<ReturnType<F>>;

describe('the types of net', () => {
  test('a connection carries the user’s data', () => {
    expectTypeOf(conn.data).toEqualTypeOf<Session>();
    expectTypeOf(plain.data).toBeUnknown();
    expectTypeOf<Connection<Session>>().toExtend<Connection>();
    expectTypeOf<Given<typeof connect>>().toEqualTypeOf<Connection>();
    expectTypeOf<Given<Listener['accept']>>().toEqualTypeOf<Connection>();
  });

  test('a group takes and gives members of its data', () => {
    expectTypeOf<Group<Session>['add']>().parameter(0).toEqualTypeOf<Connection<Session>>();
    expectTypeOf<Connection<{ id: number }>>().not.toExtend<Parameters<Group<Session>['add']>[0]>();
    type Member = Group<Session> extends Iterable<infer M> ? M : never;
    expectTypeOf<Member>().toEqualTypeOf<Connection<Session>>();
    const memberName = ([member]: Group<Session>): string | undefined => member?.data.name;
    expectTypeOf(memberName).returns.toEqualTypeOf<string | undefined>();
    expectTypeOf<Group<Session>['send']>().parameter(0).toEqualTypeOf<Uint8Array | string>();
    expectTypeOf<Group<Session>['send']>().returns.toBeNumber();
  });

  test('reads give bytes or null, lines text or null, iteration bytes', () => {
    expectTypeOf<Given<typeof conn.read>>().toEqualTypeOf<Uint8Array | null>();
    expectTypeOf<Given<typeof conn.readExactly>>().toEqualTypeOf<Uint8Array | null>();
    expectTypeOf<Given<typeof conn.readLine>>().toEqualTypeOf<string | null>();
    type Element = typeof conn extends AsyncIterable<infer E> ? E : never;
    expectTypeOf<Element>().toEqualTypeOf<Uint8Array>();
  });

  test('frames are of the codec’s element type', () => {
    const text = (connection: Connection) => connection.frames(lines());
    const bytes = (connection: Connection) => connection.frames(lengthPrefix({ bytes: 4 }));
    const json = (connection: Connection) => connection.frames(jsonLines());
    const mine = (connection: Connection, codec: Codec<Session, string>) => connection.frames(codec);
    expectTypeOf(text).returns.toEqualTypeOf<AsyncIterableIterator<string, undefined>>();
    expectTypeOf(bytes).returns.toEqualTypeOf<AsyncIterableIterator<Uint8Array, undefined>>();
    expectTypeOf(json).returns.toEqualTypeOf<AsyncIterableIterator<unknown, undefined>>();
    expectTypeOf(mine).returns.toEqualTypeOf<AsyncIterableIterator<Session, undefined>>();
  });

  test('events carry their values, and select gives the union of them', () => {
    expectTypeOf<ReturnType<typeof conn.readEvt>>().toEqualTypeOf<Evt<Uint8Array | null>>();
    expectTypeOf<ReturnType<typeof conn.writableEvt>>().toEqualTypeOf<Evt<void>>();
    expectTypeOf<ReturnType<typeof listener.acceptEvt>>().toEqualTypeOf<Evt<Connection>>();
    const chosen = () =>
      select(
        listener.acceptEvt(),
        conn.readEvt(),
        map(after(1), () => 'late' as const),
        never(),
      );
    expectTypeOf<Given<typeof chosen>>().toEqualTypeOf<Connection | Uint8Array | null | 'late'>();
    const ready = () => select(listener.readyEvt(), Promise.resolve(7));
    expectTypeOf<Given<typeof ready>>().toEqualTypeOf<Listener | number>();
  });

  test('brands narrow unknown values', () => {
    expectTypeOf(isConnection).guards.toEqualTypeOf<Connection>();
    expectTypeOf(isListener).guards.toEqualTypeOf<Listener>();
  });

  test('reasons are told apart by kind', () => {
    type Reason<K> = Extract<CloseReason, { kind: K }>;
    expectTypeOf<Reason<'reset'>['error']>().toExtend<Error>();
    expectTypeOf<Reason<'aborted'>['cause']>().toBeUnknown();
    expectTypeOf<Reason<'dropped'>['unsent']>().toBeNumber();
    expectTypeOf<CloseReason['kind']>().toEqualTypeOf<
      | 'ended'
      | 'closed'
      | 'dropped'
      | 'aborted'
      | 'reset'
      | 'failed'
      | 'write-overflow'
      | 'released'
      | 'timeout'
      | 'drained'
      | 'refused'
      | 'handshake'
    >();
    expectTypeOf<Given<typeof pipe>>().toEqualTypeOf<PipeResult>();
    expectTypeOf<ReturnType<typeof reconnecting>>().toEqualTypeOf<AsyncGenerator<Connection, void, undefined>>();
  });
});

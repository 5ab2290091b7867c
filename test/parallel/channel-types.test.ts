import { expectTypeOf } from 'expect-type';
import { describe, test } from 'node:test';
import type { broadcast } from '../../src/parallel/channel.ts';
import { channel } from '../../src/parallel/channel.ts';
import type { Switchboard } from '../../src/parallel/switchboard.ts';
import type { MemberEvent, Peer, WorkerChannel } from '../../src/parallel/worker-channel.ts';

type RoomEvent = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'left' };

// Nothing here runs but the checks of types, which the compiler makes; values only lend their types.
const parents = {} as Switchboard;
const peer = {} as Peer;

describe('the types of channels', () => {
  test('a channel takes and gives values of its type, and no others', () => {
    const room = channel<string>('x');
    expectTypeOf(room).toEqualTypeOf<WorkerChannel<string>>();
    // @ts-expect-error: a number is no string.
    room.broadcast(1);
    // @ts-expect-error: nor is it for one.
    room.send({ parent: true }, 1);
    room.receive((value, from) => {
      expectTypeOf(value).toEqualTypeOf<string>();
      expectTypeOf(from).toEqualTypeOf<Peer>();
    })();
    expectTypeOf<WorkerChannel<RoomEvent>['broadcast']>().parameter(0).toEqualTypeOf<RoomEvent>();
    expectTypeOf<ReturnType<WorkerChannel['send']>>().toBeBoolean();
    expectTypeOf<ReturnType<WorkerChannel['receive']>>().toEqualTypeOf<() => void>();
  });

  test('a channel of unknown type says so, at the parent too', () => {
    expectTypeOf(channel('x')).toEqualTypeOf<WorkerChannel>();
    expectTypeOf<typeof broadcast>().parameters.toEqualTypeOf<[name: string, value: unknown]>();
    const own = (): WorkerChannel<RoomEvent> => parents.channel<RoomEvent>('x');
    expectTypeOf(own).returns.toEqualTypeOf<WorkerChannel<RoomEvent>>();
  });

  test('who sent is one worker or the parent', () => {
    const name = (): number | 'parent' => {
      if (peer.parent) return 'parent';
      expectTypeOf(peer.worker).toEqualTypeOf<number>();
      return peer.worker;
    };
    expectTypeOf(name).returns.toEqualTypeOf<number | 'parent'>();
    expectTypeOf<{ worker: 1; parent: true }>().not.toExtend<Peer>();
    expectTypeOf<WorkerChannel['self']>().toEqualTypeOf<number | null>();
    expectTypeOf<MemberEvent['kind']>().toEqualTypeOf<'joined' | 'gone'>();
  });
});

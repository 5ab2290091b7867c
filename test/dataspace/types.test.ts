import { expectTypeOf } from 'expect-type';
import { describe, test } from 'node:test';
import { _, capture } from '../../src/dataspace/hole.ts';
import { Pattern, toTopic } from '../../src/dataspace/pattern.ts';
import { record } from '../../src/dataspace/record.ts';
import type { RecordMaker, RecordOf } from '../../src/dataspace/record.ts';
import { RoutingIndex } from '../../src/dataspace/routing-index.ts';
import type { BindingsOf, Datum, Topic, TopicOf, TopicRecord, Wildcard } from '../../src/dataspace/topic-types.ts';
import { intersect } from '../../src/dataspace/unify.ts';

const tcpAddress = record('tcp-address', ['host', 'port']).of<{ host: string; port: number }>();
const tcpListener = record('tcp-listener', ['port']).of<{ port: number }>();
const tcpHandle = record('tcp-handle', ['id']).of<{ id: string }>();
const tcpEnd = record('tcp-end', []);

type TcpAddress = RecordOf<typeof tcpAddress>;
type TcpListener = RecordOf<typeof tcpListener>;
type TcpHandle = RecordOf<typeof tcpHandle>;
type Place = TcpAddress | TcpListener | TcpHandle;
type Body = Uint8Array | string | RecordOf<typeof tcpEnd>;

// As a driver exports it: annotated, which `isolatedDeclarations` asks for, and the maker's own types come from it.
const tcpChannel: RecordMaker<
  'tcp-channel',
  readonly ['source', 'destination', 'body'],
  { source: Place; destination: Place; body: Body }
> = record('tcp-channel', ['source', 'destination', 'body']).of();

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
const box = record('box', ['content']);

type Nested = string | readonly Nested[];

interface Tree extends TopicRecord<'tree', { value: number; left: Tree | null; right: Tree | null }> {}
const tree = record('tree', ['value', 'left', 'right']).of<{ value: number; left: Tree | null; right: Tree | null }>();

interface Handlers<P> {
  onMessage?(event: { readonly topic: TopicOf<P>; readonly bindings: BindingsOf<P> }): void;
}

/** As a space takes endpoints: typed outside, and inside one kind of thing. */
function subscribe<const P extends Topic>(index: RoutingIndex<Handlers<Topic>>, topic: P, handlers: Handlers<P>): void {
  const pattern = new Pattern(topic);
  const met = intersect(topic, pattern.topic);
  if (met !== undefined) handlers.onMessage?.({ topic: met, bindings: pattern.bind(topic) as BindingsOf<P> });
  index.add(pattern, handlers as unknown as Handlers<Topic>);
}

/** As a space's own methods are typed: a handler is given the topic that its pattern met. */
function handling<const P extends Topic>(pattern: P, handler: (topic: TopicOf<P>, bindings: BindingsOf<P>) => void): P {
  void handler;
  return pattern;
}

function send(body: Datum): void {
  void body;
}

describe('the types of topics', () => {
  test('a handler knows that its source is an address and its body bytes, text or the end', () => {
    handling(tcpChannel(_, tcpListener(5999), _), (topic) => {
      expectTypeOf(topic.source).toEqualTypeOf<Place>();
      expectTypeOf(topic.body).toEqualTypeOf<Body>();
      expectTypeOf(topic.destination.port).toEqualTypeOf<5999>();
      expectTypeOf(topic).toExtend<RecordOf<typeof tcpChannel>>();
    });
    handling(tcpChannel(tcpAddress(_, _), tcpListener(5999), _), ({ source, destination }) => {
      expectTypeOf(source.host).toEqualTypeOf<string>();
      expectTypeOf(source).toExtend<TcpAddress>();
      expectTypeOf(destination).toExtend<TcpListener>();
      expectTypeOf(destination).not.toExtend<TcpAddress>();
      // What came in goes out again, the other way round.
      send(tcpChannel(destination, source, 'hello'));
    });
  });

  test('a wildcard has the declared type, a constant its own, a variable its own', () => {
    const who = 'ann' as string;
    expectTypeOf<TopicOf<ReturnType<typeof patternOfAnn>>['who']>().toEqualTypeOf<'ann'>();
    handling(says(_, 'hello'), (topic) => {
      expectTypeOf(topic.who).toEqualTypeOf<string>();
      expectTypeOf(topic.what).toEqualTypeOf<'hello'>();
    });
    handling(says(who, _), (topic) => expectTypeOf(topic.who).toEqualTypeOf<string>());
  });

  test('captures are bound to what their field declares, or to what they say', () => {
    handling(says(capture('who'), capture('what')), (topic, bindings) => {
      expectTypeOf(bindings).toEqualTypeOf<{ readonly who: string; readonly what: string }>();
      expectTypeOf(topic.who).toEqualTypeOf<string>();
    });
    handling(tcpChannel(tcpAddress(capture('host'), _), capture('to').of<TcpListener>(), _), (topic, bindings) => {
      expectTypeOf(bindings.host).toEqualTypeOf<string>();
      expectTypeOf(bindings.to).toEqualTypeOf<TcpListener>();
      expectTypeOf(topic.destination).toEqualTypeOf<TcpListener>();
      // @ts-expect-error -- nothing is captured by that name
      void bindings.port;
    });
    handling(capture('all').of<number>(), (topic, bindings) => {
      expectTypeOf(topic).toEqualTypeOf<number>();
      expectTypeOf(bindings).toEqualTypeOf<{ readonly all: number }>();
    });
    handling(says(_, _), (topic, bindings) => {
      expectTypeOf<keyof typeof bindings>().toEqualTypeOf<never>();
      expectTypeOf(topic).toExtend<RecordOf<typeof says>>();
    });
  });

  test('lists are met item by item, and what no record declares is data', () => {
    handling(['room', _, capture('size').of<number>()], (topic, bindings) => {
      expectTypeOf(topic).toEqualTypeOf<readonly ['room', Datum, number]>();
      expectTypeOf(bindings).toEqualTypeOf<{ readonly size: number }>();
    });
    handling(_, (topic) => expectTypeOf(topic).toEqualTypeOf<Datum>());
    handling(box(_), (topic) => expectTypeOf(topic.content).toEqualTypeOf<Datum>());
    handling(box([says(_, 'x')]), (topic) => expectTypeOf(topic.content[0].who).toEqualTypeOf<string>());
    const scores = record('scores', ['of']).of<{ of: readonly number[] }>();
    handling(scores(_), (topic) => expectTypeOf(topic.of).toEqualTypeOf<readonly number[]>());
    handling(scores([_, 2]), (topic) => expectTypeOf(topic.of).toEqualTypeOf<readonly [number, 2]>());
    // @ts-expect-error -- numbers only
    scores(['x']);
    const nested = record('nested', ['lists']).of<{ lists: Nested }>();
    handling(nested([_, ['x', _]]), ({ lists }) => expectTypeOf(lists[1][0]).toEqualTypeOf<'x'>());
    handling(nested(_), ({ lists }) => expectTypeOf(lists).toEqualTypeOf<Nested>());
    // @ts-expect-error -- texts, and lists of such
    nested([['x', 1]]);
  });

  test('a record that contains its own kind is an interface', () => {
    const leaf = tree(1, null, null);
    const both = tree(2, leaf, _);
    handling(both, (topic) => {
      expectTypeOf(topic.right).toEqualTypeOf<Tree | null>();
      expectTypeOf(topic.left.value).toEqualTypeOf<1>();
    });
    send(tree(3, leaf, tree(4, null, leaf)));
    // @ts-expect-error -- the value of a tree is a number
    tree('x', null, null);
  });

  test('a wrong field is a compile error', () => {
    // @ts-expect-error -- a port is a number
    tcpListener('5999');
    // @ts-expect-error -- a source is an address, a listener or a handle
    tcpChannel('somewhere', _, _);
    // @ts-expect-error -- and no record of another label
    tcpChannel(says('ann', 'hello'), _, _);
    // @ts-expect-error -- a capture of the wrong type
    says(capture('who').of<number>(), _);
    // @ts-expect-error -- a field that is not there
    void says('ann', 'hello').where;
    // @ts-expect-error -- fields are read-only
    const renamed = () => (says('ann', 'hello').who = 'bob');
    // @ts-expect-error -- a field of what is no data
    record('bad', ['when']).of<{ when: Date }>();
    // @ts-expect-error -- a field that is not declared
    record('bad', ['a', 'b']).of<{ a: string }>();
    // @ts-expect-error -- a Date is no topic
    const date = () => toTopic(new Date());
    expectTypeOf([renamed, date]).toBeArray();
    const few = () => {
      // @ts-expect-error -- a field is missing
      says('ann');
      // @ts-expect-error -- one too many
      says('ann', 'hello', 'there');
    };
    expectTypeOf(few).toBeFunction();
  });

  test('a message has no holes', () => {
    send(says('ann', 'hello'));
    send([1, 'x', null, new Uint8Array(1), says('ann', 'hello')]);
    // @ts-expect-error -- a wildcard
    send(says('ann', _));
    // @ts-expect-error -- deep inside
    send([box([says(_, 'x')])]);
    // @ts-expect-error -- a capture
    send(capture('x'));
    expectTypeOf<RecordOf<typeof says>>().toExtend<Datum>();
    expectTypeOf<Wildcard>().not.toExtend<Datum>();
  });

  test('is() narrows what is not known', () => {
    const known = (body: Body): string | undefined => {
      if (tcpEnd.is(body)) return undefined;
      return typeof body === 'string' ? body : undefined;
    };
    expectTypeOf(known).returns.toEqualTypeOf<string | undefined>();
    const which = (place: Place): number | string => {
      if (tcpListener.is(place)) return place.port;
      return tcpHandle.is(place) ? place.id : place.host;
    };
    expectTypeOf(which).returns.toEqualTypeOf<number | string>();
  });

  test('a space can be generic over its patterns, and know nothing of them inside', () => {
    const index = new RoutingIndex<Handlers<Topic>>();
    subscribe(index, says(capture('who'), _), {
      onMessage: ({ topic, bindings }) => {
        expectTypeOf(topic.what).toEqualTypeOf<string>();
        expectTypeOf(bindings.who).toEqualTypeOf<string>();
      },
    });
    const [handlers] = index.match(says('ann', 'hello'));
    expectTypeOf(handlers).toEqualTypeOf<Handlers<Topic> | undefined>();
    const wide = (topic: Topic): Topic | undefined => intersect(topic, topic);
    expectTypeOf(wide).toBeFunction();
  });

  test('intersect and patterns keep the type of what they were given', () => {
    expectTypeOf(intersect(says(_, 'x'), says('ann', _))?.who).toEqualTypeOf<string | undefined>();
    const captured = says(capture('who'), _);
    expectTypeOf<BindingsOf<typeof captured>>().toEqualTypeOf<{ readonly who: string }>();
    expectTypeOf<BindingsOf<Topic>>().toEqualTypeOf<ReturnType<Pattern['bind']>>();
    expectTypeOf<TopicOf<Topic>>().toEqualTypeOf<Topic>();
    expectTypeOf<RoutingIndex<Session>['match']>().returns.toEqualTypeOf<Session[]>();
    expectTypeOf(tcpChannel.names).toEqualTypeOf<readonly ['source', 'destination', 'body']>();
    expectTypeOf(tcpChannel.label).toEqualTypeOf<'tcp-channel'>();
  });
});

interface Session {
  name: string;
}

function patternOfAnn() {
  return says('ann', _);
}

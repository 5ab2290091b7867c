import { expectTypeOf } from 'expect-type';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { eventDriver } from '../../src/dataspace/drivers/event-driver.ts';
import { sourceEvent, sourceFailed } from '../../src/dataspace/drivers/event-topics.ts';
import { tcpChannel, tcpEnd } from '../../src/dataspace/drivers/tcp-channel.ts';
import type { TcpEnd, TcpInput, TcpOutput } from '../../src/dataspace/drivers/tcp-channel.ts';
import { tcpAddress, tcpHandle, tcpListener } from '../../src/dataspace/drivers/tcp-places.ts';
import type { TcpListener, TcpPeer } from '../../src/dataspace/drivers/tcp-places.ts';
import { cancelTimer, setTimer, timerExpired, timerRefused } from '../../src/dataspace/drivers/timer-topics.ts';
import { udpListener, udpPacket } from '../../src/dataspace/drivers/udp-topics.ts';
import type { UdpPeer } from '../../src/dataspace/drivers/udp-topics.ts';
import { _, capture } from '../../src/dataspace/hole.ts';
import { Pattern } from '../../src/dataspace/pattern.ts';
import type { BindingsOf, Datum, Topic, TopicOf } from '../../src/dataspace/topic-types.ts';
import { after } from '../../src/sync/combinators.ts';

/** As a space's own methods are typed: a handler is given the topic that its pattern met. */
function handling<const P extends Topic>(pattern: P, handler: (topic: TopicOf<P>, bindings: BindingsOf<P>) => void): P {
  void new Pattern(pattern);
  void handler;
  return pattern;
}

function send(body: Datum): void {
  void new Pattern(body);
}

const dates: AsyncIterable<Date> = (async function* () {
  yield await Promise.resolve(new Date());
})();
const peer = tcpAddress('192.0.2.1', 40_000);

describe('the types of the drivers', () => {
  test('a handler on what comes in knows that its source is an address and its body bytes or the end', () => {
    handling(tcpChannel(_, tcpListener(5999), _), (topic) => {
      expectTypeOf(topic.source).toEqualTypeOf<TcpPeer>();
      expectTypeOf(topic.source.host).toEqualTypeOf<string>();
      expectTypeOf(topic.body).toEqualTypeOf<Uint8Array | TcpEnd>();
      expectTypeOf(topic.destination.port).toEqualTypeOf<5999>();
      expectTypeOf(topic.destination).toExtend<TcpListener>();
      // What came in goes out again, the other way round.
      send(tcpChannel(topic.destination, topic.source, topic.body));
      send(tcpChannel(topic.destination, topic.source, 'hello'));
    });
  });

  test('whoever holds both sides of a connection in variables gets the same', () => {
    const chatter = (remote: TcpPeer, local: TcpListener): void => {
      handling(tcpChannel(remote, local, _), ({ body }) => expectTypeOf(body).toEqualTypeOf<TcpInput>());
      handling(tcpChannel(local, remote, _), ({ body }) => expectTypeOf(body).toEqualTypeOf<TcpOutput>());
      send(tcpChannel(local, remote, 'text'));
      send(tcpChannel(local, remote, tcpEnd()));
    };
    chatter(peer, tcpListener(1));
  });

  test('captures have the types of their fields', () => {
    handling(tcpChannel(tcpAddress(capture('host'), _), tcpListener(capture('port')), _), (topic, bindings) => {
      expectTypeOf(bindings).toEqualTypeOf<{ readonly host: string; readonly port: number }>();
      expectTypeOf(topic.destination.backlog).toEqualTypeOf<number>();
    });
    handling(udpPacket(_, udpListener(53), _), ({ source, body }) => {
      expectTypeOf(source).toEqualTypeOf<UdpPeer>();
      expectTypeOf(body).toEqualTypeOf<Uint8Array>();
    });
  });

  test('a handler on timers and events knows its label and source, and what comes with them', () => {
    handling(timerExpired('tea', _), (topic) => {
      expectTypeOf(topic.label).toEqualTypeOf<'tea'>();
      expectTypeOf(topic.at).toEqualTypeOf<number>();
      // What expired is set again.
      send(setTimer(topic.label, 1_000, 'relative'));
      send(cancelTimer(topic.label));
    });
    handling(timerExpired(['mine', capture('number').of<number>()], _), (_topic, bindings) => {
      expectTypeOf(bindings).toEqualTypeOf<{ readonly number: number }>();
    });
    handling(timerRefused(capture('label'), _), ({ message }, { label }) => {
      expectTypeOf(message).toEqualTypeOf<string>();
      expectTypeOf(label).toEqualTypeOf<Datum>();
    });
    handling(setTimer(_, _, _), ({ kind }) => expectTypeOf(kind).toEqualTypeOf<'relative' | 'absolute'>());
    handling(sourceEvent('terminal', _), ({ source, value }) => {
      expectTypeOf(source).toEqualTypeOf<'terminal'>();
      expectTypeOf(value).toEqualTypeOf<Datum>();
    });
    handling(sourceFailed(capture('source'), _, _), ({ code, message }, { source }) => {
      expectTypeOf([code, message, source]).toEqualTypeOf<string[]>();
    });
  });

  test('the map of a source is given what the source brings', () => {
    const boots = [
      eventDriver({ terminal: () => createInterface({ input: process.stdin }), chunks: process.stdin }),
      eventDriver({ dates: { source: dates, map: (date) => date.getTime() } }),
      eventDriver({
        dates: { source: () => dates, map: (date) => date.getTime() },
        tick: { source: after(1), map: () => 0 },
      }),
      eventDriver({ hangup: { emitter: process, event: 'SIGHUP', map: (name: string) => name } }),
    ];
    void boots;
  });

  test('a wrong field is an error of the compiler', () => {
    const wrong = (): void => {
      // @ts-expect-error -- there is no such kind
      setTimer('tea', 5, 'soon');
      // @ts-expect-error -- a time is a number
      setTimer('tea', '5', 'relative');
      // @ts-expect-error -- a source has a name
      sourceEvent(5, _);
      // @ts-expect-error -- a date is no data
      eventDriver({ dates });
      // @ts-expect-error -- nor is one that a map makes
      eventDriver({ lines: { source: createInterface({ input: process.stdin }), map: (line) => new Date(line) } });
      // @ts-expect-error -- an emitter has no such option
      eventDriver({ hangup: { emitter: process, event: 'SIGHUP', limt: 5 } });
      // @ts-expect-error -- a host is a text
      tcpAddress(5, 5);
      // @ts-expect-error -- there is no such option
      tcpListener(5999, { baklog: 4 });
      // @ts-expect-error -- numbers can't be sent
      tcpChannel(tcpHandle('a'), peer, 5);
      // @ts-expect-error -- what comes is never a text
      tcpChannel(peer, tcpListener(5999), 'text');
      // @ts-expect-error -- two local sides are no connection
      tcpChannel(tcpListener(1), tcpListener(2), _);
    };
    void wrong;
  });
});

// A caching DNS resolver that asks others: actors that meet by question. Whoever asks is there, and subscribed to the
// answer; that is demand, and one actor is started for each question that has some, however many ask. It asks the
// servers, by UDP and if it has to by TCP, and publishes what it learned. The cache is a third party to it: it goes on
// publishing until the answer's time is over, and whoever asks meanwhile sees it at once. None of them knows the others.
//   node examples/dns-resolver.ts --port 5353 --upstream 127.0.0.1:53
//   dig @127.0.0.1 -p 5353 example.com
//   dig @127.0.0.1 -p 5353 +tcp example.com
// More servers are asked in their order when those before them are silent: --upstream 192.0.2.1 --upstream [2001:db8::1]:53
import { isIP, SocketAddress } from 'node:net';
import { parseArgs } from 'node:util';
import {
  _,
  capture,
  Dataspace,
  matchDemand,
  publishersOf,
  subscribersOf,
  tcpBound,
  tcpDriver,
  tcpFailed,
  tcpListener,
  timerDriver,
  udpBound,
  udpDriver,
  udpFailed,
  udpListener,
} from 'portside/dataspace';
import type { Boot } from 'portside/dataspace';
import { cache } from './dns/cache.ts';
import { forwarder } from './dns/forwarder.ts';
import { codeFor, RCODE } from './dns/message.ts';
import { tcpFront } from './dns/tcp-front.ts';
import { dnsAnswered } from './dns/topics.ts';
import type { DnsServer } from './dns/topics.ts';
import { udpFront } from './dns/udp-front.ts';
import { Waiting } from './dns/waiting.ts';

interface Settings {
  readonly host: string;
  /** 0 for one that the system chooses. */
  readonly port: number;
  readonly servers: readonly DnsServer[];
}

/** Everything but the drivers; `ready` is told the port once it is open by UDP and TCP. */
function resolver({ host, port, servers }: Settings, ready: (port: number) => void): Boot {
  return (self) => {
    const waiting = new Waiting();
    self.spawnLinked(cache(), { name: 'dns cache' });
    matchDemand(self, {
      demand: subscribersOf(dnsAnswered(capture('question'), _, _)),
      supply: publishersOf(dnsAnswered(capture('question'), _, _)),
      start: (task, { bindings }) => forwarder(bindings.question, servers)(task),
      restart: false,
      giveUp: (_reason, { bindings: { question } }) =>
        self.publish(dnsAnswered(question, codeFor(question, RCODE.SERVFAIL), self.clock.now())),
      name: 'dns forwarder',
    });

    // By TCP first: there the system knows better which port is free.
    const tcp = tcpListener(port, { host, credit: true });
    self.spawnLinked(tcpFront(tcp, waiting), { name: 'dns by tcp' });
    self.observePublishers(tcpFailed(tcp, null, _, _), { onPresence: ({ topic }) => fail(topic.message) });
    self.observePublishers(tcpBound(tcp, _), {
      onPresence: ({ topic: { address } }) => {
        const udp = udpListener(address.port, { host });
        self.spawnLinked(udpFront(udp, waiting), { name: 'dns by udp' });
        self.observePublishers(udpFailed(udp, null, _, _), { onPresence: ({ topic }) => fail(topic.message) });
        self.observePublishers(udpBound(udp, _), { onPresence: () => ready(address.port) });
      },
    });
  };
}

function fail(message: string): never {
  throw new Error(message);
}

/** A server as the command line says it: `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1`, `[2001:db8::1]:53`. */
function toServer(text: string): DnsServer {
  const [, bracketed, plain, port = '53'] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/u.exec(text) ?? [
    undefined,
    undefined,
    text,
  ];
  const host = bracketed ?? plain ?? '';
  const family = isIP(host);
  if (family === 0 || Number(port) > 65_535 || Number(port) === 0)
    fail(`--upstream needs an address, such as 127.0.0.1:53 or [::1]:53, and not ${text}`);
  // As packets say where they come from.
  const { address } = new SocketAddress({ address: host, family: family === 6 ? 'ipv6' : 'ipv4' });
  return { host: address, port: Number(port) };
}

function settings(): Settings {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '5353' },
      upstream: { type: 'string', multiple: true, default: [] },
    },
  });
  const port = Number(values.port);
  if (!/^\d+$/u.test(values.port) || port > 65_535) fail(`--port needs a port, and not ${values.port}`);
  if (values.upstream.length === 0) fail('say whom to ask: --upstream 127.0.0.1:53');
  return { host: values.host, port, servers: values.upstream.map(toServer) };
}

async function main(): Promise<void> {
  const given = settings();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  const space = new Dataspace({
    signal: stop.signal,
    onActorEnd: ({ actor, name, reason }) => {
      if (reason.kind === 'failed') {
        console.error(`${name ?? 'an actor'} failed: ${reason.error.message}`);
        process.exitCode = 1;
      }
      if (actor === root) stop.abort();
    },
  });
  space.spawn(udpDriver());
  space.spawn(tcpDriver());
  space.spawn(timerDriver());
  const root = space.spawn(
    resolver(given, (port) => {
      const host = given.host.includes(':') ? `[${given.host}]` : given.host;
      console.log(`Resolving on ${host}:${port}; ask with: dig @${given.host} -p ${port} example.com`);
    }),
    { name: 'the resolver' },
  );
  await space.run();
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}

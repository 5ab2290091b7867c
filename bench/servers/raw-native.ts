/**
 * The native transport alone, in several threads. FORM `passage`: the main thread accepts, and gives each channel to a thread in turn;
 * `reuseport`: each thread listens on the port by itself.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Address } from '../../src/transport/address.ts';
import type { Acceptor, BindOptions } from '../../src/transport/contract.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import type { Passage, PassageTicket } from '../../src/transport/passage.ts';
import { announce, port, portOf, workers } from './control.ts';
import { echoAll } from './echo-sink.ts';

type Begin = { readonly ticket: PassageTicket; readonly address: Address } | { readonly port: number };

const BACKLOG = 4_096;
/** Connections that may be on their way to one thread. */
const CAPACITY = 128;
const SCRIPT = new URL(import.meta.url);
const transport = nativeTransport();

function listen(options: Partial<BindOptions>, at: number): Promise<Acceptor> {
  return transport.listen(
    { kind: 'tcp', host: '127.0.0.1', port: at, ipv6Only: false },
    { backlog: BACKLOG, reusePort: false, reuseAddress: undefined, ...options },
  );
}

async function handOver(): Promise<void> {
  const { passages } = transport;
  if (passages === undefined) throw new Error('the native core here moves no connections');
  const acceptor = await listen({}, port);
  const ways: Passage[] = [];
  for (let i = 0; i < workers; i++) {
    const passage = passages.passage(CAPACITY);
    ways.push(passage);
    const begin: Begin = { ticket: passage.ticket, address: acceptor.address };
    await once(new Worker(SCRIPT, { workerData: begin, transferList: [...passage.transfer] }), 'message');
  }
  let id = 0;
  acceptor.watcher = {
    ready() {
      for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
        // 64 connections at a time never fill it.
        if (ways[id % workers]?.give(channel, id) !== true) throw new Error('a passage is full');
        id += 1;
      }
    },
    trouble(error) {
      process.stderr.write(`${error.message}\n`);
    },
  };
  acceptor.want(true);
  announce(portOf(acceptor.address));
}

async function listenEach(): Promise<void> {
  let bound = port;
  for (let i = 0; i < workers; i++) {
    const begin: Begin = { port: bound };
    [bound] = (await once(new Worker(SCRIPT, { workerData: begin }), 'message')) as [number];
  }
  announce(bound);
}

async function serve(begin: Begin): Promise<void> {
  const acceptor =
    'port' in begin
      ? await listen({ reusePort: true }, begin.port)
      : transport.passages?.arrivals(begin.ticket, begin.address, true);
  if (acceptor === undefined) throw new Error('the native core here moves no connections');
  echoAll(acceptor);
  parentPort?.postMessage(portOf(acceptor.address));
}

if (!isMainThread) await serve(workerData as Begin);
else if (process.env.FORM === 'passage') await handOver();
else await listenEach();

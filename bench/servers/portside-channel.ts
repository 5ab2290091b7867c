/** Echo on the transport contract alone: what a backend costs, without anything that stands on it. */
import type { Transport } from '../../src/transport/contract.ts';
import { announce, port, portOf, transportName } from './control.ts';
import { echoAll } from './echo-sink.ts';

async function load(): Promise<Transport> {
  if (transportName() === 'native') return (await import('../../src/transport/native/transport.ts')).nativeTransport();
  return (await import('../../src/transport/node/transport.ts')).nodeTransport;
}

const transport = await load();
const acceptor = await transport.listen(
  { kind: 'tcp', host: '127.0.0.1', port, ipv6Only: false },
  { backlog: 511, reusePort: false, reuseAddress: undefined },
);
echoAll(acceptor);
announce(portOf(acceptor.address));

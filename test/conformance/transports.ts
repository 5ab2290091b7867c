import type { Transport } from '../../src/transport/contract.ts';

/** The transports that threads can get by name. */
export type TransportName = 'node' | 'native';

/** The transport of this thread that has this name. */
export async function transportCalled(name: TransportName): Promise<Transport> {
  if (name === 'node') return (await import('../../src/transport/node/transport.ts')).nodeTransport;
  return (await import('../../src/transport/native/transport.ts')).nativeTransport();
}

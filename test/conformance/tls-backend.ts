import type { TlsClientOptions } from '../../src/transport/tls/client.ts';
import { TlsServerContext } from '../../src/transport/tls/context.ts';
import { certificates } from '../support/certificates.ts';
import type { Backend } from './stage.ts';
import { tlsTransport } from './tls-transport.ts';

const { ca, server } = certificates();
const context = await TlsServerContext.create(server);
const client: TlsClientOptions = { ca };

/** A backend under TLS. What runs out of descriptors is what is below, so that is not asked for. */
export function tlsBackend(below: Backend): Backend {
  return {
    transport: tlsTransport(below.transport, context, client),
    target: () => below.target(),
    dialTarget: (address) => below.dialTarget(address),
    cleanup: () => below.cleanup(),
    ...(below.child === undefined ? {} : { child: () => tlsChild(below.child?.() ?? '') }),
  };
}

/** The statements of a module that has `transport`, with that under TLS. */
function tlsChild(statements: string): string {
  return [
    statements
      .replace(/nodeTransport as transport/u, 'nodeTransport as below')
      .replace('const transport =', 'const below ='),
    `import { tlsTransport } from ${JSON.stringify(new URL('tls-transport.ts', import.meta.url).href)};`,
    `import { TlsServerContext } from ${JSON.stringify(new URL('../../src/transport/tls/context.ts', import.meta.url).href)};`,
    `const transport = tlsTransport(below, await TlsServerContext.create(${JSON.stringify(server)}), ${JSON.stringify(client)});`,
  ].join('\n');
}

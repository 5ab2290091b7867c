import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { ConnectOptions } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { TlsClientOptions } from '../../src/transport/tls/client.ts';
import type { TlsServerOptions } from '../../src/transport/tls/server-options.ts';
import { certificates } from './certificates.ts';
import { listenOn, portOf } from './nets.ts';
import type { Net } from './nets.ts';

/** TLS for a server that is called localhost. */
export function serverTls(options: Partial<TlsServerOptions> = {}): TlsServerOptions {
  return { ...certificates().server, ...options };
}

/** TLS for a client that trusts the authority of these certificates, and knows the server as localhost. */
export function clientTls(options: Partial<TlsClientOptions> = {}): TlsClientOptions {
  return { ca: certificates().ca, servername: 'localhost', ...options };
}

/** Two ends of one connection that begins with TLS. */
export async function securePair(
  net: Net,
  options: { server?: Partial<TlsServerOptions>; client?: Partial<TlsClientOptions>; connect?: ConnectOptions } = {},
): Promise<{ server: Connection; client: Connection }> {
  const listener = await listenOn(net, { tls: serverTls(options.server) });
  const [server, client] = await Promise.all([
    listener.accept(),
    connect(
      { host: '127.0.0.1', port: portOf(listener) },
      { transport: net.transport, tls: clientTls(options.client), ...options.connect },
    ),
  ]);
  await server.opened;
  await listener.close();
  return { server, client };
}

/** A client of Node's own, when its handshake is done; ended with the test. */
export async function nodeClient(t: TestContext, port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, ca: certificates().ca, servername: 'localhost', ...options });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

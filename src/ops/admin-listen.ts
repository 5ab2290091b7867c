import type { IncomingMessage, Server } from 'node:http';
import { resolve } from 'node:path';
import { PortsideError } from '../base/errors.ts';
import { formatEndpoint, parseEndpoint } from '../net/endpoint.ts';
import { takeHanded } from '../net/handed.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { resolveHost } from '../net/resolve.ts';
import { systemdDescriptor } from '../net/systemd.ts';
import { applyUnixMode, identify, prepareUnixPath, removeUnixPath } from '../net/unix-path.ts';
import { currentScope } from '../sync/scope.ts';
import { tcpAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import { nodeTransport } from '../transport/node/transport.ts';
import { systemError } from '../transport/system-error.ts';
import { isLoopback } from './admin-guard.ts';

/** An HTTP server that listens. */
export interface Bound {
  readonly address: Address;
  /** Removes what is left of it, when it is closed. */
  readonly cleanup: () => void;
}

/** Where the admin endpoint listens when only a port is named. */
const LOOPBACK = '127.0.0.1';

/** Only the user that runs the server. */
const MODE = 0o600;

/**
 * Binds an HTTP server to an endpoint; a port without a host is on loopback. `open`: others than this machine may reach it.
 * Rejects with ERR_PORTSIDE_OPTIONS where they could and may not, and otherwise as `listen` does.
 */
export async function bindAdmin(server: Server, where: string, open: boolean): Promise<Bound> {
  const endpoint = parseEndpoint(where, 'server', 'admin');
  switch (endpoint.kind) {
    case 'tcp': {
      const { host = LOOPBACK, port } = endpoint;
      const place = { ...endpoint, host };
      currentScope()?.check({ op: 'listen', role: 'server', host, port });
      const [first] = await resolveHost(host, { role: 'server' });
      if (!open && !isLoopback(first!.host)) throw needsToken(place);
      const [handed] = takeHanded('admin', { endpoint: place }) ?? [];
      await listening(server, place, handed === undefined ? { host: first!.host, port } : { fd: handed.fd });
      return { address: addressOf(server), cleanup: () => {} };
    }
    case 'unix':
      currentScope()?.check({ op: 'listen', role: 'server', host: formatEndpoint(endpoint), port: undefined });
      return bindPath(server, endpoint.path);
    case 'fd':
    case 'systemd': {
      currentScope()?.check({ op: 'listen', role: 'server', host: formatEndpoint(endpoint), port: undefined });
      const [handed] = takeHanded('admin', { endpoint }) ?? [];
      const fd = handed?.fd ?? (endpoint.kind === 'fd' ? endpoint.fd : systemdDescriptor(endpoint.name));
      await listening(server, endpoint, { fd });
      const address = handed?.address ?? addressOf(server);
      if (open || !('host' in address) || isLoopback(address.host)) return { address, cleanup: () => {} };
      server.close();
      throw needsToken(endpoint);
    }
    case 'tls':
    case 'memory':
      throw new PortsideError(
        'ERR_PORTSIDE_UNSUPPORTED',
        `the admin endpoint can't be on ${formatEndpoint(endpoint)}: it is HTTP in the clear, by TCP or a Unix domain socket`,
        { op: 'listen', local: formatEndpoint(endpoint) },
      );
  }
}

async function bindPath(server: Server, path: string): Promise<Bound> {
  const endpoint: Endpoint = { kind: 'unix', path };
  if (path.startsWith('\0')) {
    throw new PortsideError(
      'ERR_PORTSIDE_UNSUPPORTED',
      `the admin endpoint can't be on ${formatEndpoint(endpoint)}: anybody on this machine may connect to an abstract name; give it a path`,
      { op: 'listen', local: formatEndpoint(endpoint) },
    );
  }
  const [handed] = takeHanded('admin', { endpoint }) ?? [];
  if (handed !== undefined) {
    await listening(server, endpoint, { fd: handed.fd });
    return { address: { family: 'unix', path }, cleanup: () => {} };
  }
  const whole = resolve(path);
  await prepareUnixPath(path, (target) => nodeTransport.dial(target));
  // The file is born with what the umask leaves, and whoever connects before it has its permissions is sent away.
  const sendAway = (socket: Socket): void => void socket.destroy();
  server.prependListener('connection', sendAway);
  await listening(server, endpoint, { path });
  try {
    applyUnixMode(path, MODE);
  } catch (error) {
    server.close();
    throw error;
  }
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  server.off('connection', sendAway);
  const identity = identify(whole);
  return { address: { family: 'unix', path }, cleanup: () => removeUnixPath(whole, identity) };
}

type Socket = IncomingMessage['socket'];
type Place = { readonly host: string; readonly port: number } | { readonly path: string } | { readonly fd: number };

async function listening(server: Server, endpoint: Endpoint, place: Place): Promise<void> {
  const { promise, resolve: bound, reject } = Promise.withResolvers<void>();
  server.once('listening', bound).once('error', reject);
  server.listen({ ...place, backlog: 511 });
  try {
    await promise;
  } catch (error) {
    throw systemError('listen', error, { local: textOf(endpoint) });
  } finally {
    server.off('listening', bound).off('error', reject);
  }
}

function addressOf(server: Server): Address {
  const address = server.address();
  if (address === null || typeof address === 'string') return { family: 'unix', path: address ?? '' };
  return tcpAddress(address.address, address.port);
}

/** `127.0.0.1:7001`, `unix:///run/x.sock`, `fd://3` */
function textOf(endpoint: Endpoint): string {
  return formatEndpoint(endpoint).replace(/^tcp:\/\//u, '');
}

function needsToken(endpoint: Endpoint): PortsideError {
  const local = textOf(endpoint);
  return new PortsideError(
    'ERR_PORTSIDE_OPTIONS',
    `the admin endpoint can't be on ${local} without a token, as others than this machine may reach it; set one, or listen on 127.0.0.1 or at a path`,
    { op: 'listen', local },
  );
}

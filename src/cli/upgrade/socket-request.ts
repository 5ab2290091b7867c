import { parseEndpoint } from '../../net/endpoint.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import { socketKey } from '../../net/handed.ts';
import type { SocketRequest } from './protocol.ts';

/** Where only a port is named, as the shutdown port and the admin endpoint have it. */
const LOOPBACK = '127.0.0.1';
/** Of an admin endpoint at a path. */
const ADMIN_MODE = 0o600;

/** A request for the sockets of an endpoint. */
export function socketRequest(role: SocketRequest['role'], rest: Omit<SocketRequest, 'key' | 'role'>): SocketRequest {
  return { key: socketKey(role, rest), role, ...rest };
}

/** The socket of an admin endpoint. */
export function adminRequest(where: string): SocketRequest {
  return socketRequest('admin', { endpoint: onLoopback(parseEndpoint(where, 'server', '--admin')), mode: ADMIN_MODE });
}

/** The sockets of a shutdown port. */
export function shutdownRequest(endpoint: Endpoint): SocketRequest {
  return socketRequest('serve', { endpoint: onLoopback(endpoint) });
}

/** As those do who listen there. */
function onLoopback(endpoint: Endpoint): Endpoint {
  return endpoint.kind === 'tcp' && endpoint.host === undefined ? { ...endpoint, host: LOOPBACK } : endpoint;
}

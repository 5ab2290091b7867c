import { PortsideError } from '../../base/errors.ts';
import { parseEndpoint } from '../../net/endpoint.ts';
import { listenEndpoint } from '../../net/listen.ts';
import type { EndpointOptions } from '../../server/options.ts';
import { placesOf } from '../../server/options.ts';
import type { Gathered } from '../gather-options.ts';
import type { SocketRequest } from './protocol.ts';
import { adminRequest, shutdownRequest, socketRequest } from './socket-request.ts';

/** The listening sockets that a server needs, in the order in which it asks for them. ERR_PORTSIDE_UNSUPPORTED for a server that can't be handed any. */
export function wantedSockets({
  options,
  workers,
  admin,
}: Pick<Gathered, 'options' | 'workers' | 'admin'>): readonly SocketRequest[] {
  const places = placesOf(options);
  if (workers?.dispatch === 'kernel')
    throw unsupported(
      "under --dispatch kernel every worker has a socket of its own, which can't be kept for the next version; say round-robin, least-busy or hash",
    );
  if (places.some(({ transport }) => typeof transport === 'object'))
    throw unsupported("a transport of one's own takes no sockets that are open already");
  const { shutdown } = options;
  return [
    ...places.map((place) => ofPlace(place)),
    ...(shutdown === undefined ? [] : [shutdownRequest(parseEndpoint(shutdown, 'server', '--shutdown'))]),
    ...(admin === null ? [] : [adminRequest(admin.admin)]),
  ];
}

function ofPlace(place: EndpointOptions): SocketRequest {
  const endpoint = listenEndpoint(place);
  if (endpoint.kind === 'memory') throw unsupported('a name in memory is this process’s alone');
  const { families, ipv6Only, mode, reuse, reusePort } = place;
  return socketRequest('serve', { endpoint, families, ipv6Only, mode, reuse, reusePort });
}

function unsupported(why: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `--upgradable: ${why}`, { op: 'upgrade' });
}

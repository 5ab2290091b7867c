import { PortsideError } from '../base/errors.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';
import { Served } from './served.ts';

/** `Server.detach` for who has the connection and not its server, such as a callback: asks the server that serves it. Throws as that does. */
export function detach<Data>(connection: Connection<Data>): Connection<Data> {
  const inside = link(connection);
  const { owner } = inside;
  if (!(owner instanceof Served)) {
    throw new PortsideError('ERR_PORTSIDE_STATE', 'no server serves the connection', inside.detail('detach'));
  }
  owner.host.detach(connection);
  return connection;
}

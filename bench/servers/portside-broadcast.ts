/** Broadcast by a group: what one connection says goes to all. */
import { Group, serve } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

const everybody = new Group();

const server = await serve(
  {
    open: (conn) => void everybody.add(conn),
    data: (_conn, chunk) => void everybody.send(chunk),
  },
  { port, host: '127.0.0.1', transport: transportName() },
);
announce(portOf(server.addresses[0]));

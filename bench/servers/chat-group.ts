/** A chat by hand: every line of a member goes to all of them, by a `Group`. */
import { Group, listen } from '../../src/index.ts';
import type { Connection } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

const room = new Group<string>();
let count = 0;

async function chat(conn: Connection<string>): Promise<void> {
  count += 1;
  conn.data = `user${count}`;
  room.add(conn);
  try {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
      if (line !== '') room.send(`${conn.data}: ${line}\n`);
    }
  } finally {
    room.delete(conn);
    await conn.close();
  }
}

const listener = await listen({ port, host: '127.0.0.1', transport: transportName() });
announce(portOf(listener.addresses[0]));
for await (const conn of listener) void chat(conn as Connection<string>).catch(() => {});

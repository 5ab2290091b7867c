// The time of day, one line, then closed (RFC 867).
//   npx portside serve examples/daytime.ts --port 1313
//   nc 127.0.0.1 1313
// Any program that tells the time is such a server too:
//   npx portside exec --port 1314 -- date
//   nc 127.0.0.1 1314
import type { Connection } from 'portside';

export default async function daytime(conn: Connection): Promise<void> {
  await conn.write(`${new Date().toISOString()}\r\n`);
}

// Sends back what it gets, as a function: asked for, chunk by chunk, with back-pressure.
//   npx portside serve examples/echo.ts --port 5000
//   nc 127.0.0.1 5000
import type { Connection } from 'portside';

export default async function echo(conn: Connection): Promise<void> {
  for await (const chunk of conn) await conn.write(chunk);
}

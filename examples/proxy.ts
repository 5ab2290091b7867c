// Passes bytes both ways to another server, with back-pressure and half-close.
//   UPSTREAM=tcp://127.0.0.1:5000 npx portside serve examples/proxy.ts --port 5001
//   nc 127.0.0.1 5001
import { connect, pipe } from 'portside';
import type { Connection } from 'portside';

export default async function proxy(conn: Connection): Promise<void> {
  const upstream = await connect(process.env['UPSTREAM'] ?? 'tcp://127.0.0.1:5000', {
    timeout: 5_000,
    signal: conn.signal,
  });
  await pipe(conn, upstream);
}

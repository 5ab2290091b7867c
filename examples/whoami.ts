// An echo behind a proxy, which first says who the client really is: the address that the proxy tells by the PROXY protocol.
//   npx portside serve examples/whoami.ts --port 5100 --proxy-from loopback
// With this in haproxy.cfg, `nc 127.0.0.1 8100` is told its own address, and not HAProxy's:
//   listen whoami
//     mode tcp
//     bind 127.0.0.1:8100
//     server one 127.0.0.1:5100 send-proxy-v2
// TLS goes through HAProxy as it is, and is spoken here, behind the header of the proxy:
//   npx portside serve examples/whoami.ts --port 5100 --proxy-from loopback --tls-self-signed
//   openssl s_client -connect 127.0.0.1:8100 -quiet
import { formatAddress } from 'portside';
import type { Connection } from 'portside';

export default async function whoami(conn: Connection): Promise<void> {
  // The header of the proxy, and the handshake of TLS, come first.
  await conn.opened;
  await conn.write(`${about(conn).join('\r\n')}\r\n\r\n`);
  for await (const chunk of conn) await conn.write(chunk);
}

/** What is known of a client, line by line. */
function about(conn: Connection): string[] {
  const lines = [`You are ${formatAddress(conn.remote)}.`];
  const { proxy, tls } = conn;
  if (proxy === null) lines.push('There is no proxy between us.');
  // Its own health checks, and clients whom it can't tell.
  else if (proxy.source === null || proxy.destination === null)
    lines.push('You are the proxy itself, or it does not tell.');
  else
    lines.push(
      `You came to the proxy at ${formatAddress(proxy.destination)}, which speaks PROXY version ${proxy.version}.`,
    );
  if (tls !== null) lines.push(`We speak ${tls.protocol}.`);
  return lines;
}

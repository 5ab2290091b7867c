// Sends back what it gets, under TLS. Its first line says what was agreed on, and who the client is by its certificate.
//   npx portside serve examples/tls-echo.ts -e tls://127.0.0.1:5443 -e tcp://127.0.0.1:5080 --tls-self-signed
//   openssl s_client -connect 127.0.0.1:5443 -quiet
// On the endpoint that says tcp:// a client begins in the clear, and has to say STARTTLS on a line of its own. The words are those
// of ManageSieve (RFC 5804), which openssl can say:
//   openssl s_client -connect 127.0.0.1:5080 -quiet -starttls sieve
// With certificates from files, and asking clients for theirs:
//   npx portside serve examples/tls-echo.ts -e tls://127.0.0.1:5443 -e tcp://127.0.0.1:5080
//     --tls-cert server.pem --tls-key server.key --tls-ca ca.pem --tls-client-cert request
//   openssl s_client -connect 127.0.0.1:5443 -quiet -CAfile ca.pem -cert client.pem -key client.key
import type { Connection, TlsInfo } from 'portside';

/** Bytes of a line in the clear, at most. */
const MAX_LINE = 512;
/** Milliseconds in which a client has to begin TLS. */
const PATIENCE = 30_000;

export default async function tlsEcho(conn: Connection): Promise<void> {
  // The handshake of a tls:// endpoint is over then.
  await conn.opened;
  const tls = conn.tls ?? (await begun(conn));
  if (tls === null) return;
  await conn.write(`${summary(tls)}\r\n`);
  for await (const chunk of conn) await conn.write(chunk);
}

/** TLS, begun when the client asks for it; null when it does not. Nothing is served in the clear. */
async function begun(conn: Connection): Promise<TlsInfo | null> {
  if (!conn.canUpgradeTls) {
    await conn.write('BYE There is no certificate, so there is no TLS\r\n');
    return null;
  }
  await conn.write('OK Say STARTTLS\r\n');
  const line = await conn.readLine({ limit: MAX_LINE, timeout: PATIENCE });
  if (line?.toUpperCase() !== 'STARTTLS') {
    await conn.write('BYE Only STARTTLS is understood\r\n');
    return null;
  }
  void conn.write('OK Begin\r\n');
  // In the same turn, before anything else of the client's is read. Bytes that came with its STARTTLS make this fail, and end the
  // connection: somebody may have put them in, to be taken for what the client says under TLS.
  return conn.upgradeTls();
}

function summary(tls: TlsInfo): string {
  return `${tls.protocol} ${tls.cipher}, ${client(tls)}`;
}

function client({ authorized, authorizationError, peerCertificate }: TlsInfo): string {
  if (peerCertificate === null) return 'no client certificate';
  if (!authorized) return `a client certificate that is not good: ${authorizationError ?? 'nobody knows why'}`;
  // Each part of the name is on a line of its own.
  return `client certificate of ${peerCertificate.subject.replaceAll('\n', ', ')}`;
}

import { join } from 'node:path';
import { isPortsideError } from '../base/errors.ts';
import { parseEndpoint } from '../net/endpoint.ts';
import { placesOf } from '../server/options.ts';
import type { ServerOptions } from '../server/options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { certificateName } from './certificate-name.ts';
import { certFile, keyFile } from './pair-folder.ts';
import type { Gathered } from './gather-options.ts';
import { selfSigned } from './self-signed.ts';
import type { SelfSigned } from './self-signed.ts';

/** The certificate of `--tls-self-signed`, for as long as a server runs. */
export interface DevelopmentCertificate {
  /** What TLS is given: paths where a folder keeps them, so that they are read anew as any other. */
  readonly cert: string;
  readonly key: string;
  /** The file that clients may trust; null when nobody keeps it. */
  readonly file: string | null;
  /** What it is, in a line. */
  readonly told: string;
}

/** The options of a server that has it. */
export function withCertificate(options: ServerOptions, certificate: DevelopmentCertificate | null): ServerOptions {
  if (certificate === null) return options;
  const { cert, key } = certificate;
  return { ...options, tls: { ...(options.tls as TlsServerOptions), cert, key } };
}

const HOSTS = ['localhost', '127.0.0.1', '::1'];

/**
 * Makes a certificate for the hosts that a server's options name, and for this machine; or takes the one that the folder keeps, which is made anew when its
 * time has come. Null when none was asked for.
 */
export async function developmentCertificate({
  options,
  selfSigned: where,
}: Pick<Gathered, 'options' | 'selfSigned'>): Promise<DevelopmentCertificate | null> {
  if (where === false) return null;
  const folder = typeof where === 'string' ? where : undefined;
  const hosts = [...new Set([...HOSTS, ...hostsOf(options)])];
  const made = await selfSigned({ hosts, folder });
  const told = tell(made, hosts, folder);
  if (folder === undefined) return { cert: made.cert, key: made.key, file: null, told };
  return { cert: certFile(folder), key: keyFile(folder), file: certFile(folder), told };
}

function tell({ fingerprint256, notAfter, renewed }: SelfSigned, hosts: readonly string[], folder?: string): string {
  const kept = folder === undefined ? 'kept in memory' : `kept in ${join(folder, '/')}`;
  const why = renewed === null ? '' : `; renewed, because ${renewed}`;
  const until = notAfter.toISOString().slice(0, 10);
  return `a self-signed certificate for ${hosts.join(', ')}, good until ${until}, ${kept}; SHA-256 ${fingerprint256}${why}`;
}

/** The hosts that are listened on by name or number; those that stand for every address have none. */
function hostsOf(options: ServerOptions): readonly string[] {
  const hosts = placesOf(options).map(({ endpoint, host }) => {
    if (endpoint === undefined) return host;
    try {
      const parsed = parseEndpoint(endpoint, 'server');
      return 'host' in parsed ? parsed.host : undefined;
    } catch (error) {
      // It is told where the server listens.
      if (isPortsideError(error)) return undefined;
      throw error;
    }
  });
  return hosts.filter(
    (host) => host !== undefined && host !== '0.0.0.0' && host !== '::' && certificateName(host) !== null,
  ) as readonly string[];
}

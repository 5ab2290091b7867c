import { PortsideError, systemCode } from '../base/errors.ts';
import type { Acceptor, BindOptions, BindTarget, Transport } from '../transport/contract.ts';
import { formatEndpoint } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { resolveHost } from './resolve.ts';
import type { Family } from './resolve.ts';
import { systemdDescriptor } from './systemd.ts';
import { claimUnixPath } from './unix-path.ts';

/** What makes the sockets of an endpoint what they are; see `ListenOptions`. */
export interface BindPlaceOptions {
  readonly families?: readonly Family[] | undefined;
  readonly ipv6Only?: boolean | undefined;
  readonly mode?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The sockets of an endpoint. */
export interface Bound {
  readonly acceptors: readonly Acceptor[];
  /** Removes what is left of them, when they are closed. */
  readonly cleanup: () => void;
}

const nothing = (): void => {};

/** How often another number is tried when port 0 gave one that is taken on a further address. */
const PORT_TRIES = 5;

/** Binds an endpoint: all its addresses, or none. */
export async function bindAnew(
  endpoint: Endpoint,
  options: BindPlaceOptions,
  transport: Transport,
  bind: BindOptions,
): Promise<Bound> {
  switch (endpoint.kind) {
    case 'memory':
      if (!transport.flags.memory)
        throw unsupported(endpoint, `the transport "${transport.name}" has no memory sockets`);
      return { acceptors: [await transport.listen(endpoint, bind)], cleanup: nothing };
    case 'fd':
    case 'systemd': {
      if (!transport.flags.descriptors)
        throw unsupported(endpoint, `the transport "${transport.name}" takes no descriptors`);
      const fd = endpoint.kind === 'fd' ? endpoint.fd : systemdDescriptor(endpoint.name);
      return { acceptors: [await transport.listen({ kind: 'fd', fd }, bind)], cleanup: nothing };
    }
    case 'unix': {
      if (!transport.flags.unix)
        throw unsupported(endpoint, `the transport "${transport.name}" has no Unix domain sockets`);
      // A path is a name there; whatever file has that name is none of its business.
      if (transport.flags.memory) {
        if (options.mode !== undefined)
          throw unsupported(
            endpoint,
            `a path of the transport "${transport.name}" is no file and has no permissions; leave mode out`,
          );
        return { acceptors: [await transport.listen(endpoint, bind)], cleanup: nothing };
      }
      return claimUnixPath(endpoint.path, options.mode, transport, bind);
    }
    case 'tcp':
    case 'tls':
      return { acceptors: await bindTcp(endpoint.host, endpoint.port, options, transport, bind), cleanup: nothing };
  }
}

async function bindTcp(
  host: string | undefined,
  port: number,
  options: BindPlaceOptions,
  transport: Transport,
  bind: BindOptions,
): Promise<Acceptor[]> {
  const families = options.families ?? ['ipv6', 'ipv4'];
  const both = families.includes('ipv4') && families.includes('ipv6');
  const ipv6Only = options.ipv6Only ?? false;
  if (host === undefined) {
    if (!families.includes('ipv6')) return bindAll([{ host: '0.0.0.0', ipv6Only: false }], port, transport, bind);
    try {
      return await bindAll([{ host: '::', ipv6Only: ipv6Only || !both }], port, transport, bind);
    } catch (error) {
      if (!both || ipv6Only || !lacksFamily(error)) throw error;
      return bindAll([{ host: '0.0.0.0', ipv6Only: false }], port, transport, bind);
    }
  }
  const addresses = await resolveHost(host, { families, role: 'server', signal: options.signal });
  const mixed = addresses.some(({ family }) => family === 'ipv4');
  const places = addresses.map((address) => ({
    host: address.host,
    ipv6Only: address.family === 'ipv6' && (mixed || ipv6Only || !both),
  }));
  return bindAll(places, port, transport, bind);
}

function lacksFamily(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' || code === 'EINVAL';
}

/** Binds all of the places on one port, or none. */
async function bindAll(
  places: readonly { readonly host: string; readonly ipv6Only: boolean }[],
  port: number,
  transport: Transport,
  bind: BindOptions,
): Promise<Acceptor[]> {
  for (let attempt = 1; ; attempt += 1) {
    const acceptors: Acceptor[] = [];
    let skipped: unknown = null;
    let number = port;
    try {
      for (const { host, ipv6Only } of places) {
        const target: BindTarget = { kind: 'tcp', host, port: number, ipv6Only };
        let acceptor: Acceptor;
        try {
          acceptor = await transport.listen(target, bind);
        } catch (error) {
          const family =
            systemCode(error) === 'EAFNOSUPPORT' || (systemCode(error) === 'EADDRNOTAVAIL' && host === '::1');
          if (!family || places.length === 1) throw error;
          skipped = error;
          continue;
        }
        acceptors.push(acceptor);
        if (number === 0 && 'port' in acceptor.address) number = acceptor.address.port;
      }
      if (acceptors.length === 0) throw skipped;
      return acceptors;
    } catch (error) {
      for (const acceptor of acceptors) acceptor.close();
      const again = port === 0 && acceptors.length > 0 && systemCode(error) === 'EADDRINUSE' && attempt < PORT_TRIES;
      if (!again) throw error;
    }
  }
}

function unsupported(endpoint: Endpoint, why: string): PortsideError {
  const local = formatEndpoint(endpoint);
  return new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `can't listen on ${local}: ${why}`, { op: 'listen', local });
}

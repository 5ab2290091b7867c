import { lookup as systemLookup } from 'node:dns/promises';
import { PortsideError, systemCode } from '../base/errors.ts';
import { show } from '../base/show.ts';
import { isIP } from '../transport/ip.ts';

/** The families of Internet addresses. */
export type Family = 'ipv4' | 'ipv6';

/** A numeric address. */
export interface ResolvedHost {
  /** Numeric, without brackets; a zone stays behind `%`. */
  readonly host: string;
  readonly family: Family;
}

/** How a name is asked for: `dns.promises.lookup` of Node with `all`, or something that behaves like it. */
export type Lookup = (
  host: string,
  options: { readonly all: true; readonly family: 0 | 4 | 6; readonly order: 'verbatim' },
) => Promise<readonly { readonly address: string; readonly family: number }[]>;

export interface ResolveOptions {
  /** The families that are wanted. @default both */
  readonly families?: readonly Family[] | undefined;
  /** What the addresses are for; errors speak of it. */
  readonly role: 'server' | 'client';
  /** Calls it off: the promise rejects with the signal's reason. The system's own lookup can't be stopped and ends unheard. */
  readonly signal?: AbortSignal | undefined;
  /** Who is asked. @default the system, as getaddrinfo(3) does, with /etc/hosts */
  readonly lookup?: Lookup | undefined;
}

/**
 * The numeric addresses of a host, each once, in the order that the system gives them; never an empty list.
 *
 * A numeric host is given back as it is, without asking anybody. A name that nobody knows, or that has no address of the
 * wanted families, is `ENOTFOUND`; a name server that doesn't answer is `EAI_AGAIN`; other codes of the system are kept.
 * A numeric host that is not of the wanted families is `ERR_PORTSIDE_OPTIONS`. There is no time limit but the system's
 * and the signal's.
 */
export async function resolveHost(host: string, options: ResolveOptions): Promise<readonly ResolvedHost[]> {
  const { families = ['ipv4', 'ipv6'], role, signal } = options;
  const lookup: Lookup = options.lookup ?? systemLookup;
  signal?.throwIfAborted();
  const numeric = numericFamily(host);
  if (numeric !== undefined) {
    if (families.includes(numeric)) return [{ host, family: numeric }];
    const message = `${host} is ${numeric === 'ipv4' ? 'an IPv4' : 'an IPv6'} address, and families leaves those out (${families.join(', ')}).`;
    throw new PortsideError(
      'ERR_PORTSIDE_OPTIONS',
      `${message} Add ${show(numeric)} to families, or give another host.`,
      { op: opOf(role) },
    );
  }
  const [only, other] = families;
  const family = other !== undefined ? 0 : only === 'ipv4' ? 4 : 6;
  let found: Awaited<ReturnType<Lookup>>;
  try {
    found = await abortable(lookup(host, { all: true, family, order: 'verbatim' }), signal);
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) throw error;
    throw explain(host, role, error);
  }
  const hosts = new Map<string, ResolvedHost>();
  for (const { address, family: number } of found) {
    const of = number === 6 ? 'ipv6' : 'ipv4';
    if (families.includes(of)) hosts.set(address, { host: address, family: of });
  }
  if (hosts.size === 0) throw explain(host, role, Object.assign(new Error('no address'), { code: 'ENOTFOUND' }));
  return [...hosts.values()];
}

// The zone is cut off: an interface may have a name that isIP does not take.
function numericFamily(host: string): Family | undefined {
  const family = isIP(host.replace(/%.*$/u, ''));
  if (family === 6) return 'ipv6';
  return family === 4 && !host.includes('%') ? 'ipv4' : undefined;
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function opOf(role: 'server' | 'client'): string {
  return role === 'server' ? 'listen' : 'connect';
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOTFOUND:
    'no address is known for it. Check how it is spelt, and whether /etc/hosts or the name servers in /etc/resolv.conf know it',
  EAI_AGAIN:
    'the name server did not answer. Check the network and /etc/resolv.conf, and try again later, or give a numeric address',
  EAI_MEMORY: 'there is not enough memory for the lookup. Try again later',
};

function explain(host: string, role: 'server' | 'client', cause: unknown): PortsideError {
  const code = systemCode(cause) ?? 'EAI_FAIL';
  const known = Object.hasOwn(SENTENCES, code) ? SENTENCES[code] : undefined;
  const sentence = known ?? 'the lookup failed. Check the name and the name servers, or give a numeric address';
  const what = role === 'server' ? 'listen on' : 'connect to';
  return new PortsideError(code, `Can't ${what} ${show(host)}: ${sentence} (${code}).`, { op: opOf(role), cause });
}

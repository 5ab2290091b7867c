import { show } from '../base/show.ts';
import type { Address } from '../transport/address.ts';
import { Complaint, checkHost, checkName, checkPath, checkPort, closest } from './endpoint-parts.ts';
import { parseText } from './endpoint-text.ts';

/** A place to listen at or to connect to. */
export type Endpoint =
  /** TCP, plain or under TLS. `host` is a name or numeric, without brackets; undefined means every address when listening, and localhost when connecting. */
  | { readonly kind: 'tcp' | 'tls'; readonly host: string | undefined; readonly port: number }
  /** A Unix domain socket. A leading NUL is Linux' abstract name, which has no file and is written `unix:@name`. */
  | { readonly kind: 'unix'; readonly path: string }
  /** A descriptor that the process was started with. */
  | { readonly kind: 'fd'; readonly fd: number }
  /** A listening socket from systemd, by its `FileDescriptorName=`. */
  | { readonly kind: 'systemd'; readonly name: string }
  /** A name inside the memory transport. */
  | { readonly kind: 'memory'; readonly name: string };

/**
 * What users may give for an {@link Endpoint}:
 *
 * - a string: `tcp://host:port`, `tcp://:5000`, `tls://…`, `unix:///run/x.sock`, `unix:relative.sock`, `unix:@abstract`,
 *   `fd://3`, `systemd://name`, `memory://name`, or bare `5000`, `host:5000`, `[::1]:5000`, `:5000`, `/run/x.sock`;
 * - a number, which is a port;
 * - an object with `port` and perhaps `host`, or with `path`, or with `fd`;
 * - an {@link Address}, as `listener.address` is;
 * - an {@link Endpoint}.
 *
 * A port is a number, digits, or the name of a service (`smtp`). In strings an IPv6 address stands in brackets. In
 * `unix:`, `systemd://` and `memory://` a `%` begins a byte in hexadecimal (`%3F` is a question mark); a bare path
 * that begins with `/`, and `path` in an object, are taken as they are, but for a leading `@`, which is an abstract
 * name everywhere (`./@x` is a file).
 */
export type EndpointLike =
  | string
  | number
  | { readonly port: number | string; readonly host?: string | undefined }
  | { readonly path: string }
  | { readonly fd: number }
  | Address
  | Endpoint;

/** Who asks: only a server may leave the choice of the port to the system (port 0), or be handed a socket by systemd. */
export type EndpointRole = 'server' | 'client';

/**
 * Understands what a user gave as an endpoint.
 *
 * Throws a PortsideError that shows what was given, what is wrong with it, and a right example: `ERR_PORTSIDE_SERVICE`
 * when a port is the name of a service that is not known, and `ERR_PORTSIDE_ENDPOINT` for everything else. User names
 * and passwords are not shown. `path` says where it was given (`options.listen[0]`), and begins the message.
 */
export function parseEndpoint(input: EndpointLike, role: EndpointRole, path?: string): Endpoint {
  try {
    if (typeof input === 'string') return settle(parseText(input, role), role);
    if (typeof input === 'number') return { kind: 'tcp', host: undefined, port: checkPort(input, role, 'tcp', '') };
    if (typeof input === 'object' && input !== null) return settle(parseObject(input, role), role);
    throw new Complaint('it is not an endpoint', EXAMPLES);
  } catch (error) {
    if (error instanceof Complaint) throw error.toError(input, path);
    throw error;
  }
}

const EXAMPLES = '"tcp://127.0.0.1:5000", "unix:///run/x.sock", 5000 or { port: 5000 }';

function settle(endpoint: Endpoint, role: EndpointRole): Endpoint {
  if (endpoint.kind === 'systemd' && role === 'client') {
    throw new Complaint('systemd hands over listening sockets, and this connects', '"unix:///run/x.sock"');
  }
  return endpoint;
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  tcp: ['kind', 'host', 'port'],
  tls: ['kind', 'host', 'port'],
  unix: ['kind', 'path'],
  fd: ['kind', 'fd'],
  systemd: ['kind', 'name'],
  memory: ['kind', 'name'],
};

/** The kinds of endpoint that the families of addresses are. */
const FAMILIES: Readonly<Record<string, string>> = { ipv4: 'tcp', ipv6: 'tcp', unix: 'unix', memory: 'memory' };

function parseObject(input: object, role: EndpointRole): Endpoint {
  const given = new Map<string, unknown>(Object.entries(input).filter(([, value]) => value !== undefined));
  const family = given.get('family');
  if (!given.has('kind') && typeof family === 'string' && Object.hasOwn(FAMILIES, family)) {
    given.delete('family');
    given.set('kind', FAMILIES[family]);
  }
  const kind = given.has('kind') ? given.get('kind') : guessKind(given);
  const keys = typeof kind === 'string' && Object.hasOwn(KEYS, kind) ? KEYS[kind] : undefined;
  if (keys === undefined) {
    const near = typeof kind === 'string' ? closest(kind) : undefined;
    throw new Complaint(`its kind is ${show(kind)}${near === undefined ? '' : `; did you mean "${near}"?`}`, EXAMPLES);
  }
  for (const key of given.keys()) {
    if (!keys.includes(key)) {
      throw new Complaint(
        `${show(key)} does not belong in ${kind === 'fd' ? 'an' : 'a'} ${String(kind)} endpoint`,
        EXAMPLES,
      );
    }
  }
  switch (kind) {
    case 'unix':
      return { kind, path: checkPath(text(given, 'path', "{ path: '/run/x.sock' }")) };
    case 'fd':
      return { kind, fd: checkFd(given.get('fd')) };
    case 'systemd':
    case 'memory':
      return { kind, name: checkName(text(given, 'name', `{ kind: '${kind}', name: 'chat' }`), kind) };
    default: {
      const of = kind === 'tls' ? 'tls' : 'tcp';
      const host = given.has('host') ? checkHost(unbracket(text(given, 'host', HOST)), false) : undefined;
      return { kind: of, host, port: checkPort(given.get('port'), role, of, host ?? '') };
    }
  }
}

const HOST = "{ host: '127.0.0.1', port: 5000 }";

function guessKind(given: ReadonlyMap<string, unknown>): string {
  const found = [
    ...(given.has('port') || given.has('host') ? ['tcp'] : []),
    ...(given.has('path') ? ['unix'] : []),
    ...(given.has('fd') ? ['fd'] : []),
  ];
  const [kind, other] = found;
  if (kind === undefined) throw new Complaint('it has none of port, path, fd and kind', EXAMPLES);
  if (other !== undefined) throw new Complaint('it has more than one of port, path and fd', EXAMPLES);
  return kind;
}

function text(given: ReadonlyMap<string, unknown>, key: string, example: string): string {
  const value = given.get(key);
  if (typeof value === 'string') return value;
  throw new Complaint(
    value === undefined ? `${key} is missing` : `${key} is not a string, but ${show(value)}`,
    example,
  );
}

// A URL's hostname keeps the brackets.
function unbracket(host: string): string {
  return /^\[[^[\]]+\]$/u.test(host) ? host.slice(1, -1) : host;
}

function checkFd(fd: unknown): number {
  if (typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 && fd <= 2 ** 31 - 1) return fd;
  throw new Complaint(`a descriptor is a whole number from 0, not ${show(fd)}`, '"fd://3"');
}

/**
 * An endpoint as text that {@link parseEndpoint} understands as the same endpoint: `tcp://host:port`, `tls://[::1]:443`,
 * `unix:///run/x.sock`, `unix:relative.sock`, `unix:@abstract`, `fd://3`, `systemd://name`, `memory://name`.
 */
export function formatEndpoint(endpoint: Endpoint): string {
  switch (endpoint.kind) {
    case 'tcp':
    case 'tls': {
      const { kind, host = '', port } = endpoint;
      return `${kind}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    }
    case 'unix': {
      const { path } = endpoint;
      if (path.startsWith('\0')) return `unix:@${escape(path.slice(1))}`;
      return `${path.startsWith('/') ? 'unix://' : 'unix:'}${escape(path)}`;
    }
    case 'fd':
      return `fd://${endpoint.fd}`;
    case 'systemd':
    case 'memory':
      return `${endpoint.kind}://${escape(endpoint.name)}`;
  }
}

function escape(plain: string): string {
  return plain.replace(/[%?#\s\p{Cc}]/gu, encodeURIComponent);
}

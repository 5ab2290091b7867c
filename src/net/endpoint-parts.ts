import { PortsideError } from '../base/errors.ts';
import type { PortsideCode } from '../base/codes.ts';
import { nearest, shorten, show } from '../base/show.ts';
import { isIP } from '../transport/ip.ts';
import type { EndpointRole } from './endpoint.ts';
import { serviceNames, servicePort } from './services.ts';
import type { ServiceProtocol } from './services.ts';

/** What is wrong with an endpoint, before it is known where it was given. */
export class Complaint {
  readonly what: string;
  readonly example: string;
  readonly code: PortsideCode;

  constructor(what: string, example: string, code: PortsideCode = 'ERR_PORTSIDE_ENDPOINT') {
    this.what = what;
    this.example = example;
    this.code = code;
  }

  toError(input: unknown, path: string | undefined): PortsideError {
    const where = path === undefined ? '' : `${path}: `;
    const shown = typeof input === 'string' ? show(withoutSecrets(input)) : showObject(input);
    const message = `${where}${shown} can't be used as an endpoint: ${this.what}. Write, for example, ${this.example}.`;
    // What JSON leaves unescaped may still move a terminal's cursor.
    return new PortsideError(
      this.code,
      message.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16)}`),
    );
  }
}

// What stands before the last @ of an authority may be a password, which has no place in a log.
function withoutSecrets(text: string): string {
  return /^unix:/iu.test(text) ? text : text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/isu, '$1…@');
}

function showObject(input: unknown): string {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return show(input);
  const entries = Object.entries(input);
  const inside = entries.slice(0, 4).map(([key, value]) => `${shorten(key)}: ${show(value)}`);
  return `{ ${[...inside, ...(entries.length > 4 ? ['…'] : [])].join(', ')} }`;
}

export const KINDS = ['tcp', 'tls', 'unix', 'fd', 'systemd', 'memory'] as const;

/** What people write who come from elsewhere. */
const ALIASES: Readonly<Record<string, (typeof KINDS)[number]>> = {
  tcp4: 'tcp',
  tcp6: 'tcp',
  http: 'tcp',
  ws: 'tcp',
  inet: 'tcp',
  ssl: 'tls',
  tcps: 'tls',
  https: 'tls',
  wss: 'tls',
  file: 'unix',
  ipc: 'unix',
  pipe: 'unix',
  local: 'unix',
  mem: 'memory',
  inproc: 'memory',
};

/** The scheme that was probably meant. */
export function closest(scheme: string): string | undefined {
  const lower = scheme.toLowerCase();
  return Object.hasOwn(ALIASES, lower) ? ALIASES[lower] : nearest(scheme, KINDS);
}

/** A host for an example, when the one given is right by itself. */
export function authority(host: string, port: string): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What has a host and a port. */
export type SocketKind = 'tcp' | 'tls' | 'udp';

/** Whose service names count. */
export function protocolOf(kind: SocketKind): ServiceProtocol {
  return kind === 'udp' ? 'udp' : 'tcp';
}

/** A number from 0 (1 for clients) to 65535, digits, or the name of a service. */
export function checkPort(port: unknown, role: EndpointRole, kind: SocketKind, host: string): number {
  const example = `"${kind}://${authority(host, '5000')}"`;
  if (port === undefined || port === '') throw new Complaint('the port is missing', example);
  if (typeof port === 'string' && !/^[+-]?\d+$/u.test(port)) return service(port, protocolOf(kind), example);
  const number = typeof port === 'string' && /^\d+$/u.test(port) ? Number(port) : port;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new Complaint(
      `a port is a whole number from ${role === 'client' ? 1 : 0} to 65535 or the name of a service, not ${show(port)}`,
      example,
    );
  }
  if (number === 0 && role === 'client')
    throw new Complaint('port 0 lets a server choose, and nobody can connect to it', example);
  return number;
}

function service(name: string, protocol: ServiceProtocol, example: string): number {
  if (!/^[a-z\d][a-z\d+._-]*$/iu.test(name))
    throw new Complaint(`${show(name)} is neither a port number nor the name of a service`, example);
  const port = servicePort(name, protocol);
  if (port !== undefined) return port;
  const near = nearest(name, serviceNames(protocol));
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  throw new Complaint(
    `no ${protocol.toUpperCase()} service called ${show(name)} is known on this machine${hint}`,
    `the port as a number: ${example}`,
    'ERR_PORTSIDE_SERVICE',
  );
}

const HOST = '"tcp://127.0.0.1:5000"';

/** A host name or numeric address, without brackets. `bracketed` says that it stood in some. */
export function checkHost(host: string, bracketed: boolean): string {
  if (host === '') throw new Complaint('the host is empty; leave it away to mean every address, or localhost', HOST);
  checkText(host, 'the host');
  if (/\s|\p{Cc}/u.test(host)) throw new Complaint('the host has a space or control character in it', HOST);
  const percent = host.indexOf('%');
  const address = percent === -1 ? host : host.slice(0, percent);
  const family = isIP(address);
  if (percent !== -1) {
    if (family !== 6)
      throw new Complaint('% introduces the zone of an IPv6 address, and this is none', '"tcp://[fe80::1%eth0]:5000"');
    if (!/^[^%/?#@[\]\\]{1,64}$/u.test(host.slice(percent + 1)))
      throw new Complaint('the zone after % is not the name of an interface', '"tcp://[fe80::1%eth0]:5000"');
    return host;
  }
  if (bracketed && family !== 6)
    throw new Complaint('brackets are for IPv6 addresses, and what is in them is none', '"tcp://[::1]:5000"');
  if (family !== 0) return host;
  if (host.includes(':'))
    throw new Complaint(`${show(host)} is neither a host name nor an IPv6 address`, '"tcp://[::1]:5000"');
  if (host === '*') throw new Complaint('* is not a host; leave the host away to mean every address', '"tcp://:5000"');
  const odd = /[/?#@[\]\\<>^`{|}"'*$&()=;,!~+]/u.exec(host)?.[0];
  if (odd !== undefined) throw new Complaint(`${show(odd)} can't be in a host`, HOST);
  const labels = host.replace(/\.$/u, '').split('.');
  if (labels.some((label) => label === '' || Buffer.byteLength(label) > 63) || Buffer.byteLength(host) > 254) {
    throw new Complaint('a host name has parts of 1 to 63 bytes with dots between, and 253 bytes in all', HOST);
  }
  // As in URLs: what ends in a number is meant as an address, and getaddrinfo would make surprising ones of it (127.1).
  if (/^(?:\d+|0x[\da-f]*)$/iu.test(labels.at(-1) ?? ''))
    throw new Complaint(`${show(host)} is not an IPv4 address of four numbers from 0 to 255`, HOST);
  return host;
}

/** What fits into sun_path (unix(7)) with its NUL. Named pipes of Windows have a limit of their own. */
const LONGEST_PATH = process.platform === 'win32' ? 256 : process.platform === 'linux' ? 107 : 103;

/** A path of a Unix socket, with a leading `@` turned into the NUL of an abstract name. */
export function checkPath(given: string): string {
  const example = '"unix:///run/x.sock"';
  const abstract = given.startsWith('@') || given.startsWith('\0');
  const name = abstract ? given.slice(1) : given;
  if (name === '')
    throw new Complaint(
      abstract ? 'the abstract name is empty' : 'the path is empty',
      abstract ? '"unix:@name"' : example,
    );
  checkText(name, abstract ? 'the abstract name' : 'the path');
  const length = Buffer.byteLength(name);
  if (length > LONGEST_PATH) {
    throw new Complaint(
      `the path is ${length} bytes long, and the system takes ${LONGEST_PATH} at most; use a shorter or relative one`,
      example,
    );
  }
  if (abstract && process.platform !== 'linux') throw new Complaint('abstract names exist on Linux alone', example);
  if (!abstract && name.endsWith('/')) throw new Complaint('the path names a directory', example);
  return abstract ? `\0${name}` : name;
}

/** A name of systemd or of the memory transport. */
export function checkName(name: string, kind: 'systemd' | 'memory'): string {
  const example = `"${kind}://${kind === 'systemd' ? 'chat.socket' : 'chat'}"`;
  if (name === '') throw new Complaint('the name is empty', example);
  checkText(name, 'the name');
  if (Buffer.byteLength(name) > 255) throw new Complaint('the name is longer than 255 bytes', example);
  // As sd_listen_fds_with_names(3) has it.
  if (kind === 'systemd' && !/^[ -9;-~]+$/u.test(name))
    throw new Complaint('names of systemd are plain ASCII without a colon', example);
  return name;
}

function checkText(value: string, what: string): void {
  if (value.includes('\0')) throw new Complaint(`there is a NUL character inside ${what}`, HOST);
  if (/\p{Surrogate}/u.test(value)) throw new Complaint(`${what} is not well-formed Unicode`, HOST);
}

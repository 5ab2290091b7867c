import { show } from '../base/show.ts';
import { isIP } from '../transport/ip.ts';
import type { Endpoint, EndpointRole } from './endpoint.ts';
import {
  Complaint,
  KINDS,
  authority,
  checkHost,
  checkName,
  checkPath,
  checkPort,
  closest,
  protocolOf,
} from './endpoint-parts.ts';
import type { SocketKind } from './endpoint-parts.ts';
import { servicePort } from './services.ts';

/** Understands an endpoint that is a string. Throws a {@link Complaint}. */
export function parseText(text: string, role: EndpointRole): Endpoint {
  if (text.trim() === '') throw new Complaint('it is empty', '"tcp://127.0.0.1:5000" or "unix:///run/x.sock"');
  if (text.trim() !== text) throw new Complaint('there is a space at its beginning or end', show(text.trim()));
  if (text.startsWith('/')) return { kind: 'unix', path: checkPath(text) };
  if (/^unix:/iu.test(text)) return { kind: 'unix', path: checkPath(unixPath(text.slice('unix:'.length))) };
  const match = /^([^/?#@[\]:]*):\/\/(.*)$/su.exec(text);
  if (match === null) return bare(text, role);
  const [, scheme = '', rest = ''] = match;
  const kind = scheme.toLowerCase();
  switch (kind) {
    case 'tcp':
    case 'tls':
      return { kind, ...hostAndPort(kind, rest, role) };
    case 'fd':
      if (!/^\d{1,10}$/u.test(rest) || Number(rest) > 2 ** 31 - 1) {
        throw new Complaint(`a descriptor is a whole number from 0, not ${show(rest)}`, '"fd://3"');
      }
      return { kind, fd: Number(rest) };
    case 'systemd':
    case 'memory':
      return { kind, name: checkName(unescape(rest, `"${kind}://chat"`), kind) };
    default:
      throw unknownScheme(scheme, rest);
  }
}

function unknownScheme(scheme: string, rest: string): Complaint {
  if (/^udp[46]?$/iu.test(scheme))
    return new Complaint('UDP has no connections; bindUdp() is for it', '"tcp://127.0.0.1:5000"');
  const near = closest(scheme);
  const known = `the schemes are ${KINDS.join(', ')}`;
  if (near === undefined)
    return new Complaint(`the scheme ${show(scheme)} is not known; ${known}`, '"tcp://127.0.0.1:5000"');
  const fits = (near === 'tcp' || near === 'tls') && /^[\w.-]*:\d{1,5}$/u.test(rest);
  const example = fits ? `${near}://${rest}` : (EXAMPLE[near] ?? '');
  return new Complaint(
    `the scheme ${show(scheme)} is not known; did you mean "${near}"? In full, ${known}`,
    `"${example}"`,
  );
}

const EXAMPLE: Readonly<Record<string, string>> = {
  tcp: 'tcp://127.0.0.1:5000',
  tls: 'tls://127.0.0.1:5000',
  unix: 'unix:///run/x.sock',
  fd: 'fd://3',
  systemd: 'systemd://chat.socket',
  memory: 'memory://chat',
};

function unixPath(rest: string): string {
  const example = '"unix:///run/x.sock"';
  const path = unescape(rest.startsWith('//') ? rest.slice(2) : rest, example);
  // With two slashes and a host the third slash was forgotten more often than a relative path was meant.
  if (rest.startsWith('//') && path !== '' && !/^[/@\0]/u.test(path)) {
    throw new Complaint(
      'after "unix://" comes a whole path, which begins with a slash',
      `${show(`unix:///${path}`)}, or ${show(`unix:${path}`)} for a relative one`,
    );
  }
  if (path.startsWith('\0')) throw new Complaint('an abstract name is written with @', '"unix:@name"');
  return path;
}

function unescape(text: string, example: string): string {
  const odd = /[?#]/u.exec(text)?.[0];
  if (odd !== undefined)
    throw new Complaint(
      `an endpoint has no query or fragment; ${show(odd)} as part of a name is ${encodeURIComponent(odd)}`,
      example,
    );
  if (/\p{Cc}/u.test(text)) throw new Complaint('there is a control character in it', example);
  try {
    return decodeURIComponent(text);
  } catch {
    // What decodeURIComponent says is "URI malformed"; ours says what to do.
    throw new Complaint('after % come two hexadecimal digits of a UTF-8 byte; % itself is %25', example);
  }
}

function bare(text: string, role: EndpointRole): Endpoint {
  if (/^\d+$/u.test(text)) return { kind: 'tcp', host: undefined, port: checkPort(text, role, 'tcp', '') };
  const scheme = /^(tcp|tls|fd|systemd|memory):(.*)$/isu.exec(text);
  if (scheme !== null) {
    const kind = (scheme[1] ?? '').toLowerCase();
    const rest = (scheme[2] ?? '').replace(/^\/+/u, '');
    const fixed = /^\d+$/u.test(rest) && (kind === 'tcp' || kind === 'tls') ? `:${rest}` : rest;
    throw new Complaint(
      `after "${kind}:" come two slashes`,
      /^[\w.:-]+$/u.test(fixed) ? `"${kind}://${fixed}"` : `"${EXAMPLE[kind] ?? ''}"`,
    );
  }
  if (text.startsWith('@')) throw new Complaint('an abstract name has "unix:" before it', '"unix:@name"');
  if (!text.startsWith('[') && /[/\\]/u.test(text) && !/[?#@]/u.test(text)) {
    throw new Complaint(
      'it is neither host and port nor a whole path',
      `"tcp://127.0.0.1:5000", or ${show(`unix:${text}`)} for a relative path`,
    );
  }
  return { kind: 'tcp', ...hostAndPort('tcp', text, role) };
}

/** Understands what follows `tcp://`: `host:port`, `[v6]:port`, `:port`. Throws a {@link Complaint}. */
export function hostAndPort(
  kind: SocketKind,
  text: string,
  role: EndpointRole,
): { host: string | undefined; port: number } {
  const example = `"${kind}://127.0.0.1:5000"`;
  if (text === '') throw new Complaint('host and port are missing', example);
  if (/\s|\p{Cc}/u.test(text)) throw new Complaint('there is a space or control character in it', example);
  if (text.includes('@')) throw new Complaint('an endpoint has no user or password', example);
  const tail = /[?#/\\]/u.exec(text);
  if (tail !== null) {
    const what = tail[0] === '?' ? 'query' : tail[0] === '#' ? 'fragment' : 'path';
    const kept = text.slice(0, tail.index);
    throw new Complaint(
      `an endpoint has no ${what} after the port`,
      /^[\w.-]*:\d+$/u.test(kept) ? `"${kind}://${kept}"` : example,
    );
  }
  const [host, port] = text.startsWith('[') ? bracketed(kind, text) : plain(kind, text);
  return { host, port: checkPort(port, role, kind, host ?? '') };
}

function bracketed(kind: SocketKind, text: string): [string, string] {
  const end = text.indexOf(']');
  if (end === -1) throw new Complaint('the bracket is not closed', `"${kind}://[::1]:5000"`);
  const host = text.slice(1, end);
  if (host === '') throw new Complaint('there is no address in the brackets', `"${kind}://[::1]:5000"`);
  checkHost(host, true);
  const rest = text.slice(end + 1);
  if (rest === '') throw new Complaint('the port is missing', `"${kind}://[${host}]:5000"`);
  if (!rest.startsWith(':'))
    throw new Complaint(`after the bracket comes ":" and the port, not ${show(rest)}`, `"${kind}://[${host}]:5000"`);
  return [host, rest.slice(1)];
}

function plain(kind: SocketKind, text: string): [string | undefined, string] {
  const last = text.lastIndexOf(':');
  if (last === -1) throw noPort(kind, text);
  const host = text.slice(0, last);
  const port = text.slice(last + 1);
  if (host.includes(':')) throw manyColons(kind, text, host, port);
  return [host === '' ? undefined : checkHost(host, false), port];
}

function noPort(kind: SocketKind, text: string): Complaint {
  if (/^\d+$/u.test(text)) return new Complaint('a port alone has a colon before it', `"${kind}://:${text}"`);
  checkHost(text, false);
  const hint =
    servicePort(text, protocolOf(kind)) === undefined
      ? ''
      : `; the service of that name is ${show(`${kind}://:${text}`)}`;
  return new Complaint(`the port is missing${hint}`, `"${kind}://${text}:5000"`);
}

function manyColons(kind: SocketKind, text: string, host: string, port: string): Complaint {
  const example = (address: string, number: string): string => `"${kind}://${authority(address, number)}"`;
  if (isIP(host.replace(/%.*$/u, '')) === 6 && /^\d+$/u.test(port)) {
    return new Complaint('an IPv6 address stands in brackets when a port follows', example(host, port));
  }
  if (isIP(text.replace(/%.*$/u, '')) === 6) {
    return new Complaint('an IPv6 address stands in brackets, and the port is missing', example(text, '5000'));
  }
  return new Complaint(
    'there is more than one colon in it, and an IPv6 address stands in brackets',
    `"${kind}://host:5000" or "${kind}://[::1]:5000"`,
  );
}

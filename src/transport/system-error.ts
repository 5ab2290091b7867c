import { getSystemErrorMap } from 'node:util';
import { PortsideError, isPortsideError, systemCode } from '../base/errors.ts';

/** Where it happened, as text; see {@link PortsideError}. */
export interface SystemErrorPlace {
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
}

/**
 * An error of the system as a {@link PortsideError} that keeps the system's code and reads as a sentence that says what to do.
 *
 * @param op What was being done: `listen`, `accept`, `connect`, `read`, `write`, `adopt`, …
 * @param error What the system gave: an error with a code, or a bare code (`'EADDRINUSE'`). A PortsideError is given back as it is.
 */
export function systemError(op: string, error: unknown, place: SystemErrorPlace = {}): PortsideError {
  if (isPortsideError(error)) return error;
  const bare = typeof error === 'string';
  const code = bare ? error : (systemCode(error) ?? 'UNKNOWN');
  const sentence = sentences[op]?.(code, place) ?? anywhere(code, place) ?? plain(op, code, error, place);
  return new PortsideError(code, sentence, { op, ...place, cause: bare ? undefined : error });
}

type Sentence = (code: string, place: SystemErrorPlace) => string | undefined;

const sentences: Readonly<Record<string, Sentence>> = {
  listen(code, { local = 'the address' }) {
    const unix = local.startsWith('unix://');
    switch (code) {
      case 'EADDRINUSE':
        return unix
          ? `${local} is taken: another program listens there, or one that ended left the file behind; stop it, or remove the file`
          : `${local} is in use by another program; choose another port or stop it`;
      case 'EACCES':
      case 'EPERM':
        return unix
          ? `${local} may not be made: the directory needs write permission for this user`
          : `${portOf(local)} needs permission: choose one from 1024 up, give the program CAP_NET_BIND_SERVICE, or let a supervisor pass the socket in`;
      case 'EADDRNOTAVAIL':
        return `${local} is not an address of this machine; listen on one that is, or on all of them with 0.0.0.0 or ::`;
      case 'EAFNOSUPPORT':
        return `${local} is of a family that this machine has switched off; listen on an address of the other family`;
      case 'ENOENT':
      case 'ENOTDIR':
        return `${local} can't be made: its directory does not exist`;
      case 'EROFS':
        return `${local} can't be made: its directory is read-only`;
      case 'ENAMETOOLONG':
        return `${local} is too long for a socket path; the system takes about 100 bytes`;
      case 'EINVAL':
      case 'EBADF':
      case 'ENOTSOCK':
        if (local.startsWith('fd://'))
          return `${local} is not a socket that can listen; check what the parent process passed in`;
        return unix ? `${local} can't be used as a socket path; it may be too long (about 100 bytes)` : undefined;
      default:
        return undefined;
    }
  },
  connect(code, { local = 'the local address', remote = 'the peer' }) {
    switch (code) {
      case 'ECONNREFUSED':
        return `nobody listens on ${remote}; check the address, and that the server runs`;
      case 'ENOENT':
        return `${remote} does not exist; check the path, and that the server runs`;
      case 'EACCES':
      case 'EPERM':
        return remote.startsWith('unix://')
          ? `${remote} may not be opened: the socket file needs write permission for this user`
          : `the system forbids connecting to ${remote}; look at the firewall's rules`;
      case 'ETIMEDOUT':
        return `${remote} did not answer in time; it is down, or a firewall drops the packets`;
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
        return `there is no route to ${remote}; check the network and the address`;
      case 'ECONNRESET':
        return `${remote} reset the connection while it was being made`;
      case 'EADDRNOTAVAIL':
        return `${local} can't be used as the local address to reach ${remote}: it is not an address of this machine, or no local port is free`;
      case 'EADDRINUSE':
        return `${local} is in use, so ${remote} can't be reached from it; choose another local port or none`;
      case 'EAGAIN':
        return `${remote} has no room for another waiting connection; try again soon`;
      default:
        return undefined;
    }
  },
};

function anywhere(code: string, { remote = 'the peer' }: SystemErrorPlace): string | undefined {
  switch (code) {
    case 'EMFILE':
      return 'this process has no file descriptor left; raise its limit (ulimit -n) or close something';
    case 'ENFILE':
      return 'the whole system has no file descriptor left; raise fs.file-max or close something';
    case 'ENOBUFS':
    case 'ENOMEM':
      return 'the system has no memory left for sockets; use fewer connections or give it more';
    case 'ECONNRESET':
    case 'EPIPE':
      return `${remote} reset the connection`;
    case 'ETIMEDOUT':
      return `${remote} stopped answering, and the connection timed out`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `there is no route to ${remote} any more`;
    default:
      return undefined;
  }
}

function plain(op: string, code: string, error: unknown, { local, remote }: SystemErrorPlace): string {
  const where = remote ?? local;
  const what = where === undefined ? `${op} failed` : `${op} failed for ${where}`;
  const known = code === 'UNKNOWN' ? undefined : describe(code);
  return `${what}: ${known ?? (error instanceof Error ? error.message : code)}`;
}

function describe(code: string): string | undefined {
  for (const [name, text] of getSystemErrorMap().values()) if (name === code) return `${text} (${code})`;
  return undefined;
}

function portOf(local: string): string {
  const port = /:(\d+)$/u.exec(local)?.[1];
  return port === undefined ? local : `port ${port}`;
}

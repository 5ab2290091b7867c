import { chmodSync, lstatSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { PortsideError, systemCode } from '../base/errors.ts';
import type { Acceptor, BindOptions, Dial, DialTarget, Transport } from '../transport/contract.ts';
import { systemError } from '../transport/system-error.ts';
import { formatEndpoint } from './endpoint.ts';

/** Which file it is, so that another one at the same path is told apart. Inode numbers are used again, hence the time. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly born: bigint;
}

/** A bound Unix socket, and what removes its file when the socket is closed. */
export interface ClaimedPath {
  readonly acceptors: readonly Acceptor[];
  readonly cleanup: () => void;
}

/**
 * Listens at a path: removes what a dead server left there, binds, and sets the permissions.
 * `cleanup` removes the file, if it is still this one; call it after the acceptor is closed.
 *
 * Rejects as {@link prepareUnixPath}, the transport's `listen` and {@link applyUnixMode} do; the socket is closed then.
 * An abstract name has no file and no permissions: with a `mode` it is `ERR_PORTSIDE_OPTIONS`.
 */
export async function claimUnixPath(
  path: string,
  mode: number | undefined,
  transport: Transport,
  options: BindOptions,
): Promise<ClaimedPath> {
  if (isAbstract(path)) {
    if (mode !== undefined) {
      const message = `mode: ${name(path)} is an abstract name, which has no file and no permissions; leave mode out or give a path`;
      throw new PortsideError('ERR_PORTSIDE_OPTIONS', message, { op: 'listen', local: name(path) });
    }
    return { acceptors: [await transport.listen({ kind: 'unix', path }, options)], cleanup: () => {} };
  }
  // The working directory may be another one when the file is to be removed.
  const whole = resolve(path);
  await prepareUnixPath(path, (target) => transport.dial(target));
  const acceptor = await transport.listen({ kind: 'unix', path }, options);
  try {
    if (mode !== undefined) {
      applyUnixMode(path, mode);
      if (couldEnter(mode)) await dismiss(acceptor);
    }
  } catch (error) {
    acceptor.close();
    throw error;
  }
  const identity = identify(whole);
  return { acceptors: [acceptor], cleanup: () => removeUnixPath(whole, identity) };
}

/**
 * Clears the way for binding at a path: removes a socket file behind which nobody listens.
 *
 * Whether somebody does is found out by connecting, through the `dial` that is given: `ECONNREFUSED` means nobody. A
 * server that lives sees a connection that closes at once. In every other case the file stays, and binding fails
 * with `EADDRINUSE` as it would have. What is not a socket (a file, a directory, a link) is never removed and never
 * connected to: it is `EADDRINUSE` here, with a sentence that says so. Without its directory it is `ENOENT`. An abstract name has no file; nothing is done.
 *
 * Two servers that start at the same moment may both find the dead file. The one that comes second sees that the file is another
 * one by then, and leaves it.
 */
export async function prepareUnixPath(path: string, dial: (target: DialTarget) => Dial): Promise<void> {
  if (isAbstract(path)) return;
  const found = look(path);
  if (found === undefined) {
    const folder = dirname(resolve(path));
    if (!isMissing(folder)) return;
    // libuv calls it EACCES, which sends people the wrong way.
    const message = `there is no directory ${folder} for the socket ${name(path)}; make it, or choose another path`;
    throw new PortsideError('ENOENT', message, { op: 'listen', local: name(path) });
  }
  if (!found.isSocket()) {
    const message = `${name(path)} is ${kindOf(found)}, not a socket, and is left alone; choose another path or move it away`;
    throw new PortsideError('EADDRINUSE', message, { op: 'listen', local: name(path) });
  }
  try {
    const channel = await dial({ kind: 'unix', path }).result;
    channel.destroy('drop');
  } catch (error) {
    if (systemCode(error) === 'ECONNREFUSED') removeUnixPath(path, identityOf(found));
    // Whatever else it is (EACCES, EAGAIN of a full backlog, EPROTOTYPE of a datagram socket), binding finds the file and says so.
  }
}

/**
 * Sets the permissions of a Unix socket's file (chmod(2), which the umask does not narrow). Who may connect is who may write to it.
 *
 * A file is born with what the umask leaves, and for a moment, between bind(2) and this, that decides who may connect. The ways to have it
 * born with the right permissions are worse: the umask belongs to the whole process, so that setting it would change what other
 * threads create meanwhile, and worker threads may not; binding under another name and renaming leaves that other name in what the
 * kernel tells of the socket (`ss`, getpeername(2)). So {@link claimUnixPath} keeps the moment harmless instead: if the umask is
 * laxer than the mode, who connected in it is dismissed unread and unserved. `listen` has not resolved by then.
 */
export function applyUnixMode(path: string, mode: number): void {
  try {
    chmodSync(path, mode);
  } catch (error) {
    throw systemError('chmod', error, { local: name(path) });
  }
}

/** Removes a socket's file if it is still the one that is meant. Whatever stands in the way (it is gone, or its directory is read-only) is no error. */
export function removeUnixPath(path: string, identity: FileIdentity | undefined): void {
  if (identity === undefined || isAbstract(path)) return;
  // Nothing may come between the two calls: no await.
  const found = look(path);
  if (found === undefined || !same(identityOf(found), identity)) return;
  try {
    unlinkSync(path);
  } catch {
    // The file that stays is found dead by the next server, which removes it or says why it can't.
  }
}

/** Which file is at a path now; undefined when there is none. */
export function identify(path: string): FileIdentity | undefined {
  const found = isAbstract(path) ? undefined : look(path);
  return found === undefined ? undefined : identityOf(found);
}

function isAbstract(path: string): boolean {
  return path.startsWith('\0');
}

function name(path: string): string {
  return formatEndpoint({ kind: 'unix', path });
}

function look(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // A directory that may not be entered, or a path through a file: binding says it in the system's words.
    return undefined;
  }
}

/** Whether there is no such directory; one that may not be looked at is not missing. */
function isMissing(folder: string): boolean {
  try {
    return statSync(folder, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

function identityOf(found: BigIntStats): FileIdentity {
  return { device: found.dev, inode: found.ino, born: found.birthtimeNs };
}

function same(a: FileIdentity, b: FileIdentity): boolean {
  return a.device === b.device && a.inode === b.inode && a.born === b.born;
}

function kindOf(found: BigIntStats): string {
  if (found.isDirectory()) return 'a directory';
  if (found.isSymbolicLink()) return 'a symbolic link';
  return found.isFile() ? 'a file' : 'something else';
}

const WRITE = 0o222;

/** Whether the umask let somebody connect whom the mode keeps out. */
function couldEnter(mode: number): boolean {
  return (0o777 & ~umask() & WRITE & ~mode) !== 0;
}

// process.umask() sets the umask to read it, which other threads would see; /proc does not. Where there is none, the worst is assumed.
function umask(): number {
  try {
    const octal = /^Umask:\s*([0-7]+)$/mu.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1];
    return octal === undefined ? 0 : Number.parseInt(octal, 8);
  } catch {
    return 0;
  }
}

/** Turns of the loop in which a crowd is sent away, at most. */
const TURNS = 64;

async function dismiss(acceptor: Acceptor): Promise<void> {
  const takeAll = (): boolean => {
    let some = false;
    for (let channel = acceptor.take(); channel !== null; channel = acceptor.take()) {
      channel.destroy('reset');
      some = true;
    }
    return some;
  };
  acceptor.watcher = { ready: takeAll, trouble: () => {} };
  acceptor.want(true);
  // The first immediate may come before the loop has polled the socket, the second comes after.
  for (let turn = 0, quiet = 0; turn < TURNS && quiet < 2; turn++) {
    await new Promise(setImmediate);
    quiet = takeAll() ? 0 : quiet + 1;
  }
  acceptor.want(false);
  acceptor.watcher = null;
}

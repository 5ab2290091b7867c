import type { Socket } from 'node:net';

/** What is not in Node's documentation; each use says what happens where it is missing. */
interface Insides {
  readonly _handle?: { reading?: boolean; readStop?(): number; getpeername?(out: object): number } | null;
  readonly _readableState?: { reading?: boolean; ended?: boolean };
}

/**
 * Takes what a paused socket has read into `unread` and stops its reading, so that nothing happens to it until
 * somebody resumes it. Without Node's internals it goes on reading into its own buffer, up to its high-water mark,
 * and whoever resumes it gets those bytes.
 *
 * @returns Whether the peer has ended its direction.
 */
export function quiet(socket: Socket, unread: Uint8Array[]): boolean {
  while (socket.readableLength > 0) {
    const bytes = socket.read() as Uint8Array | null;
    if (bytes === null) break;
    unread.push(bytes);
  }
  const { _handle: handle, _readableState: state } = socket as unknown as Insides;
  const ended = socket.readableEnded || state?.ended === true;
  if (!ended && typeof handle?.readStop === 'function' && state !== undefined && 'reading' in state) {
    handle.reading = false;
    handle.readStop();
    // Else the stream waits for a read that was taken back.
    state.reading = false;
  }
  return ended;
}

/**
 * Whether what Node told as the peer's end was its reset: libuv 1.51 (Node 22) does that when bytes and the reset come at once.
 * A TCP connection that was reset has no peer any more. It can't be told apart once this side has ended its output too, nor
 * without Node's internals.
 */
export function endedByReset(socket: Socket): boolean {
  if (socket.writableEnded) return false;
  const { _handle: handle } = socket as unknown as Insides;
  return typeof handle?.getpeername === 'function' && handle.getpeername({}) !== 0;
}

/** Where libuv balances over SO_REUSEPORT; elsewhere it raises. */
const REUSE_PORT_PLATFORMS: ReadonlySet<string> = new Set(['linux', 'freebsd', 'sunos', 'aix']);

/** `reusePort` came with Node 22.12 and 23.1; before that it is ignored without a word. */
export function hasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const known = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
  return known && REUSE_PORT_PLATFORMS.has(process.platform);
}

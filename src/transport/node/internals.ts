import type { Socket } from 'node:net';

/** What is not in Node's documentation; each use says what happens where it is missing. */
interface Insides {
  readonly _handle?: {
    reading?: boolean;
    readonly bytesWritten?: number;
    readonly writeQueueSize?: number;
    readStop?(): number;
    getpeername?(out: object): number | undefined;
  } | null;
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
  if (socket.readableLength > 0) drain(socket, unread);
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

/** Takes what a socket has read. */
export function drain(socket: Socket, unread: Uint8Array[]): void {
  for (;;) {
    const bytes = socket.read() as Uint8Array | null;
    if (bytes === null) return;
    unread.push(bytes);
  }
}

/**
 * Whether what Node told as the peer's end was its reset: libuv 1.51 (Node 22) does that when bytes and the reset come at once.
 * A TCP connection that was reset has no peer any more. It can't be told apart once this side has ended its output too, nor
 * without Node's internals.
 */
export function endedByReset(socket: Socket): boolean {
  if (socket.writableEnded) return false;
  const { _handle: handle } = socket as unknown as Insides;
  // TLS over what is no TCP socket has the function too, and it gives nothing.
  const failed = typeof handle?.getpeername === 'function' ? handle.getpeername({}) : 0;
  return typeof failed === 'number' && failed !== 0;
}

/**
 * How many bytes of a socket's output the kernel has taken so far, those of a piece that went out in part too. Without
 * Node's internals always 0, and only whole pieces are seen to go, by the stream's own count of what is queued.
 */
export function takenBy(socket: Socket): number {
  const { _handle: handle } = socket as unknown as Insides;
  if (typeof handle?.bytesWritten !== 'number' || typeof handle.writeQueueSize !== 'number') return 0;
  return handle.bytesWritten - handle.writeQueueSize;
}

/** Where libuv balances over SO_REUSEPORT; elsewhere it raises. */
const REUSE_PORT_PLATFORMS: ReadonlySet<string> = new Set(['linux', 'freebsd', 'sunos', 'aix']);

/** `reusePort` came with Node 22.12 and 23.1; before that it is ignored without a word. */
export function hasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const known = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
  return known && REUSE_PORT_PLATFORMS.has(process.platform);
}

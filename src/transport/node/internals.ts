import { Socket } from 'node:net';
import type { Server, SocketConstructorOpts } from 'node:net';
import type { SocketOption, Tuning } from '../contract.ts';

/** What libuv has of a socket. */
interface Handle {
  reading?: boolean;
  readonly fd?: number;
  readonly bytesWritten?: number;
  readonly writeQueueSize?: number;
  readStop?(): number;
  setNoDelay?(on: boolean): number;
  setKeepAlive?(on: boolean, seconds: number, interval: number, count: number): number;
  getpeername?(out: object): number | undefined;
}

/** What is not in Node's documentation; each use says what happens where it is missing. */
interface Insides {
  readonly _handle?: Handle | null;
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

/** Sets an option to `on`, whatever it says itself. */
export function setOption(socket: Socket, option: SocketOption, on: boolean): void {
  if (option.kind === 'noDelay') socket.setNoDelay(on);
  else socket.setKeepAlive(on, option.delay);
}

/**
 * Has all connections of a listening server begin with these options, which Linux copies from the listening socket. False where that can't be: elsewhere, and
 * without Node's internals.
 */
export function tuneServer(server: Server, { noDelay, keepAlive }: Tuning): boolean {
  const { _handle: handle } = server as unknown as Insides;
  if (process.platform !== 'linux' || handle?.setNoDelay === undefined || handle.setKeepAlive === undefined)
    return false;
  if (handle.setNoDelay(noDelay) !== 0) return false;
  const seconds = keepAlive === false ? 0 : Math.max(1, Math.round(keepAlive / 1_000));
  // The interval of the probes and their count are as Node has them; versions that don't take them have no others.
  return handle.setKeepAlive(keepAlive !== false, seconds, 1, 10) === 0;
}

let moves: boolean | undefined;

/**
 * Whether a `net.Socket` can be posted to another thread (Node 24.21 and 26.6 on). One that was never connected is refused by
 * name where it can, and as something unknown where it can't; the answer is kept.
 */
export function movesSockets(): boolean {
  if (moves === undefined) {
    const socket = new Socket();
    try {
      // The types know nothing of sockets there.
      structuredClone(socket, { transfer: [socket as unknown as ArrayBuffer] });
      moves = false;
    } catch (error) {
      moves = error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE';
    }
  }
  return moves;
}

/** What the system has of a socket, for {@link leftBehind}; null without Node's internals. */
export function handleOf(socket: Socket): object | null {
  return (socket as unknown as Insides)._handle ?? null;
}

/**
 * The connection of a socket that was to be moved to another thread and wasn't. Without a descriptor to spare Node moves nothing,
 * says nothing, and leaves the socket destroyed; its handle still has the connection, and gets another socket here.
 *
 * @returns Null when it was moved.
 */
export function leftBehind(socket: Socket, handle: object | null): Socket | null {
  const { fd } = (handle ?? {}) as Handle;
  if (!socket.destroyed || typeof fd !== 'number' || fd < 0) return null;
  const options: SocketConstructorOpts & { handle: object | null; pauseOnCreate: boolean } = {
    handle,
    allowHalfOpen: true,
    pauseOnCreate: true,
  };
  const again = new Socket(options);
  if (socket.writableEnded) again.end();
  return again;
}

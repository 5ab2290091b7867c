/** Echo on a socket of `node:net` with callbacks, wherever it came from. */
import type { Socket } from 'node:net';

export function echo(socket: Socket): void {
  // A reset is the peer's business; without a listener it would end the process.
  socket.on('error', () => {});
  socket.on('data', (chunk) => socket.write(chunk));
}

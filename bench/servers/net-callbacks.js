// Raw node:net with callbacks: the least that an echo server on Node can be.
import { createServer } from 'node:net';
import { announce, port, portOf } from './control.ts';

const server = createServer({ noDelay: true }, (socket) => {
  // A reset is the peer's business; without a listener it would end the process.
  socket.on('error', () => {});
  socket.on('data', (chunk) => socket.write(chunk));
});

server.listen(port, '127.0.0.1', () => {
  announce(portOf(server.address()));
});

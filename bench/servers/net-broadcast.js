// Broadcast on raw node:net with callbacks: what one connection says goes to all.
import { createServer } from 'node:net';
import { announce, port, portOf } from './control.ts';

/** @type {Set<import('node:net').Socket>} */
const members = new Set();

const server = createServer({ noDelay: true }, (socket) => {
  members.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => members.delete(socket));
  socket.on('data', (chunk) => {
    for (const member of members) member.write(chunk);
  });
});

server.listen(port, '127.0.0.1', () => {
  announce(portOf(server.address()));
});

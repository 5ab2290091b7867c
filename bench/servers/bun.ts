/** Echo, or broadcast when BROADCAST is set, on `Bun.listen`. Run by Bun. */
import { announce, port } from './control.ts';

interface Socket {
  data: Uint8Array[] | null;
  /** How many bytes it took, at most; the rest is the caller's to keep. */
  write(bytes: Uint8Array): number;
}

interface Handlers {
  open(socket: Socket): void;
  data(socket: Socket, bytes: Uint8Array): void;
  drain(socket: Socket): void;
  close(socket: Socket): void;
  error(): void;
}

type Listen = (options: { hostname: string; port: number; socket: Handlers }) => { readonly port: number };

const { listen } = (globalThis as unknown as { Bun: { listen: Listen } }).Bun;
const members = new Set<Socket>();

/** Bun queues nothing: what it does not take waits here for `drain`. */
function send(socket: Socket, bytes: Uint8Array): void {
  if (socket.data !== null) {
    socket.data.push(bytes);
    return;
  }
  const took = Math.max(0, socket.write(bytes));
  if (took < bytes.length) socket.data = [bytes.subarray(took)];
}

function drain(socket: Socket): void {
  const waiting = socket.data ?? [];
  socket.data = null;
  for (const bytes of waiting) send(socket, bytes);
}

const common = { drain, error() {} };
const echo: Handlers = {
  ...common,
  open(socket) {
    socket.data = null;
  },
  data: send,
  close() {},
};
const broadcast: Handlers = {
  ...common,
  open(socket) {
    socket.data = null;
    members.add(socket);
  },
  data(_socket, bytes) {
    for (const member of members) send(member, bytes);
  },
  close(socket) {
    members.delete(socket);
  },
};

const socket = process.env.BROADCAST === undefined ? echo : broadcast;
announce(listen({ hostname: '127.0.0.1', port, socket }).port);

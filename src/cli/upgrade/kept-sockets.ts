import { renameSync } from 'node:fs';
import { resolve } from 'node:path';
import { bindAnew } from '../../net/bind.ts';
import type { HandedSocket, HandedSockets } from '../../net/handed.ts';
import { systemdDescriptor } from '../../net/systemd.ts';
import { BoundSocket, bindingTransport } from '../../transport/node/bound.ts';
import type { SocketRequest } from './protocol.ts';

/** The sockets of one endpoint, while they are kept. */
interface Kept {
  readonly key: string;
  readonly sockets: readonly HandedSocket[];
  /** Gives them up. */
  readonly close: () => void;
  /** Removes what is left of them then. */
  readonly cleanup: () => void;
}

/** The descriptors of a child process come after its standard streams and its channel. */
const FIRST = 4;

/** The sockets that a child process is started with: `fds` are its descriptors from {@link FIRST} on, and `told` says what they are. */
export interface Passed {
  readonly fds: readonly number[];
  readonly told: readonly HandedSockets[];
}

/** Listening sockets that stay while the programs that serve them come and go. */
export class KeptSockets {
  #kept: Kept[] = [];
  /** Given up, with something that is left of them. */
  #released: Kept[] = [];

  /** What of these is not kept yet. Two that are alike are two. */
  lacking(wanted: readonly SocketRequest[]): readonly SocketRequest[] {
    const there = this.#kept.map(({ key }) => key);
    return wanted.filter(({ key }) => {
      const at = there.indexOf(key);
      if (at !== -1) there.splice(at, 1);
      return at === -1;
    });
  }

  /** Opens what is not kept yet, all or nothing. Rejects as `listen` does. */
  async open(wanted: readonly SocketRequest[]): Promise<void> {
    const opened: Kept[] = [];
    try {
      for (const request of this.lacking(wanted)) opened.push(await open(request));
    } catch (error) {
      for (const one of opened) end(one);
      throw error;
    }
    this.#kept.push(...opened);
  }

  /** Closes what nobody wants any more. */
  keepOnly(wanted: readonly SocketRequest[]): void {
    const keys = wanted.map(({ key }) => key);
    this.#kept = this.#kept.filter((one) => {
      const at = keys.indexOf(one.key);
      if (at === -1) end(one);
      else keys.splice(at, 1);
      return at !== -1;
    });
  }

  /** For a child process. */
  passed(): Passed {
    const fds: number[] = [];
    const told = this.#kept.map(({ key, sockets }) => ({
      key,
      sockets: sockets.map(({ fd, address }) => ({ fd: FIRST + fds.push(fd) - 1, address })),
    }));
    return { fds, told };
  }

  /**
   * Leaves all to those that have been given them: when the last of these listens no more, clients are refused, and do not wait for somebody who never comes. The files of paths stay until it is
   * closed, as somebody may listen there still.
   */
  release(): void {
    for (const { close } of this.#kept) close();
    this.#released.push(...this.#kept);
    this.#kept = [];
  }

  close(): void {
    this.keepOnly([]);
    for (const { cleanup } of this.#released) cleanup();
    this.#released = [];
  }
}

function end({ close, cleanup }: Kept): void {
  close();
  cleanup();
}

async function open(request: SocketRequest): Promise<Kept> {
  const { key, role, endpoint, families, ipv6Only, mode, reuse, reusePort = false } = request;
  // Those of who started this process stay his.
  if (endpoint.kind === 'fd' || endpoint.kind === 'systemd') {
    const fd = endpoint.kind === 'fd' ? endpoint.fd : systemdDescriptor(endpoint.name);
    return { key, sockets: [{ fd, address: null }], close: () => {}, cleanup: () => {} };
  }
  const how = { backlog: 1, reusePort, reuseAddress: reuse };
  const { acceptors, cleanup } = await bindAnew(endpoint, { families, ipv6Only, mode }, bindingTransport, how);
  const all = acceptors.filter((one) => one instanceof BoundSocket);
  // It is one address of a name alone that can be asked.
  const sockets = role === 'admin' ? all.slice(0, 1) : all;
  for (const one of all.slice(sockets.length)) one.close();
  const file = endpoint.kind === 'unix' && !endpoint.path.startsWith('\0') ? resolve(endpoint.path) : null;
  const close = (): void => {
    for (const one of sockets) closeAndLeave(file, one);
  };
  return { key, sockets: sockets.map(({ fd, address }) => ({ fd, address })), close, cleanup };
}

/** Closes a socket and leaves the file of its path, which libuv would remove, whichever is there by then. */
function closeAndLeave(file: string | null, socket: BoundSocket): void {
  if (file === null) {
    socket.close();
    return;
  }
  const aside = `${file}.${process.pid}`;
  const moved = renamed(file, aside);
  socket.close();
  if (moved) renamed(aside, file);
}

function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    // It is gone, or its folder may not be written to: then nobody removes it.
    return false;
  }
}

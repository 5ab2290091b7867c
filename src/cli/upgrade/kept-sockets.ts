import type { HandedSocket, HandedSockets } from '../../net/handed.ts';
import { bindAnew } from '../../net/bind.ts';
import { systemdDescriptor } from '../../net/systemd.ts';
import { BoundSocket, bindingTransport } from '../../transport/node/bound.ts';
import type { SocketRequest } from './protocol.ts';

/** The sockets of one endpoint, while they are kept. */
interface Kept {
  readonly key: string;
  readonly sockets: readonly HandedSocket[];
  readonly close: () => void;
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
      for (const { close } of opened) close();
      throw error;
    }
    this.#kept.push(...opened);
  }

  /** Closes what nobody wants any more. */
  keepOnly(wanted: readonly SocketRequest[]): void {
    const keys = wanted.map(({ key }) => key);
    this.#kept = this.#kept.filter(({ key, close }) => {
      const at = keys.indexOf(key);
      if (at === -1) close();
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

  close(): void {
    this.keepOnly([]);
  }
}

async function open(request: SocketRequest): Promise<Kept> {
  const { key, role, endpoint, families, ipv6Only, mode, reuse, reusePort = false } = request;
  // Those of who started this process stay his.
  if (endpoint.kind === 'fd' || endpoint.kind === 'systemd') {
    const fd = endpoint.kind === 'fd' ? endpoint.fd : systemdDescriptor(endpoint.name);
    return { key, sockets: [{ fd, address: null }], close: () => {} };
  }
  const how = { backlog: 1, reusePort, reuseAddress: reuse };
  const { acceptors, cleanup } = await bindAnew(endpoint, { families, ipv6Only, mode }, bindingTransport, how);
  const all = acceptors.filter((one) => one instanceof BoundSocket);
  // It is one address of a name alone that can be asked.
  const sockets = role === 'admin' ? all.slice(0, 1) : all;
  for (const one of all.slice(sockets.length)) one.close();
  const close = (): void => {
    for (const one of sockets) one.close();
    cleanup();
  };
  return { key, sockets: sockets.map(({ fd, address }) => ({ fd, address })), close };
}

/** Where one side of a TCP connection or listener is. IPv4-mapped IPv6 (`::ffff:a.b.c.d`) is given as the IPv4 that it is. */
export interface TcpAddress {
  readonly family: 'ipv4' | 'ipv6';
  /** Numeric, without brackets; a zone stays behind `%`. */
  readonly host: string;
  /** 0–65535. */
  readonly port: number;
}

/** A Unix domain socket. `path` is empty for the unnamed side of a connection; a leading NUL is Linux' abstract name. */
export interface UnixAddress {
  readonly family: 'unix';
  readonly path: string;
}

/** A name inside one memory network. */
export interface MemoryAddress {
  readonly family: 'memory';
  readonly name: string;
}

/** Where one side of a connection or listener is; {@link formatAddress} gives it as text. */
export type Address = TcpAddress | UnixAddress | MemoryAddress;

/** An address as text: `127.0.0.1:80`, `[::1]:80`, `unix:///run/x.sock`, `memory://name`. */
export function formatAddress(address: Address): string {
  switch (address.family) {
    case 'ipv4':
      return `${address.host}:${address.port}`;
    case 'ipv6':
      return `[${address.host}]:${address.port}`;
    case 'unix':
      return address.path === '' ? 'unix://' : `unix://${address.path.replace(/^\0/u, '@')}`;
    case 'memory':
      return `memory://${address.name}`;
  }
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/iu;

/** A TCP address from what the system says, with IPv4-mapped IPv6 turned into IPv4. */
export function tcpAddress(host: string, port: number): TcpAddress {
  const mapped = MAPPED.exec(host)?.[1];
  if (mapped !== undefined) return { family: 'ipv4', host: mapped, port };
  return { family: host.includes(':') ? 'ipv6' : 'ipv4', host, port };
}

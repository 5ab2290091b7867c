import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address } from '../../src/transport/address.ts';
import type { BindTarget, DialTarget, Transport } from '../../src/transport/contract.ts';
import type { Backend } from './stage.ts';

/** Dials what an acceptor is bound to. */
export function dialTarget(address: Address): DialTarget {
  switch (address.family) {
    case 'unix':
      return { kind: 'unix', path: address.path };
    case 'memory':
      return { kind: 'memory', name: address.name };
    case 'ipv4':
    case 'ipv6':
      return { kind: 'tcp', host: address.host, port: address.port, localHost: undefined, localPort: undefined };
  }
}

/** How a process of its own gets the transport. */
const IMPORTS = {
  node: ['transport/node/transport.ts', '{ nodeTransport: transport }', ''],
  native: ['transport/native/transport.ts', '{ nativeTransport }', 'const transport = nativeTransport();'],
} as const;

function child(name: keyof typeof IMPORTS, target: () => BindTarget): string {
  const [path, names, after] = IMPORTS[name];
  return [
    `import ${names.replace(': ', ' as ')} from ${JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href)};`,
    `import { dialTarget } from ${JSON.stringify(import.meta.url)};`,
    after,
    `const target = ${JSON.stringify(target())};`,
  ].join('\n');
}

/** A backend over TCP on the loopback. */
export function tcpBackend(transport: Transport, name: keyof typeof IMPORTS): Backend {
  const target = (): BindTarget => ({ kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false });
  return { transport, target, dialTarget, child: () => child(name, target), cleanup() {} };
}

/** A backend over Unix sockets in a folder of its own. */
export function unixBackend(transport: Transport, name: keyof typeof IMPORTS): Backend {
  const folder = mkdtempSync(join(tmpdir(), 'portside-'));
  let next = 0;
  const target = (): BindTarget => ({ kind: 'unix', path: join(folder, `${next++}.sock`) });
  return {
    transport,
    target,
    dialTarget,
    child: () => child(name, target),
    cleanup: () => rmSync(folder, { recursive: true, force: true }),
  };
}

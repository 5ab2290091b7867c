import { createServer } from '../../server/server.ts';
import type { Transport } from '../../transport/contract.ts';
import { nodeTransport } from '../../transport/node/transport.ts';

/** What a server is started with when nobody says otherwise. */
export interface Defaults {
  readonly maxConnections: number;
  readonly backlog: number;
}

/** Starts a server on loopback and sees what it has; rejects with why it can't be started. */
export async function defaultsOfServer(): Promise<Defaults> {
  let backlog = 0;
  const seen: Transport = {
    name: nodeTransport.name,
    flags: nodeTransport.flags,
    dial: (target) => nodeTransport.dial(target),
    adopt: (released) => nodeTransport.adopt(released),
    listen: (target, options) => {
      ({ backlog } = options);
      return nodeTransport.listen(target, options);
    },
  };
  const server = createServer(() => {}, { port: 0, host: '127.0.0.1', transport: seen });
  await server.start();
  try {
    return { maxConnections: server.status().maxConnections, backlog };
  } finally {
    await server.stop({ grace: 0 });
  }
}

// One of two servers behind a load balancer: it says which one it is and who its client really is, and then echoes.
//   NAME=one READY_PORT=7101 npx portside serve --config examples/load-balancers/backend.config.ts --port 7001
//   NAME=two READY_PORT=7102 npx portside serve --config examples/load-balancers/backend.config.ts --port 7002
//   haproxy -f examples/load-balancers/haproxy.cfg
//   nc 127.0.0.1 7000
// SIGTERM to one of them: it is not ready any more at once, and closes its port five seconds later, when HAProxy sends nobody there.
import { defineConfig, formatAddress, listen } from 'portside';
import type { Config, Connection, Listener } from 'portside';

const { NAME: name = 'one', READY_PORT: readyPort = '7101' } = process.env;

let ready: Listener | null = null;

/** The health check of the balancer: who can connect here may send clients. */
async function beReady(): Promise<void> {
  ready = await listen({ port: Number(readyPort), host: '127.0.0.1' });
  const { address } = ready;
  console.log(`${name} is ready on ${formatAddress(address)}`);
  void answer(ready);
}

async function answer(listener: Listener): Promise<void> {
  for await (const check of listener) void check.close({ linger: 0 });
}

const config: Config = defineConfig({
  handler: async (conn: Connection) => {
    await conn.opened;
    await conn.write(`${name}: you are ${formatAddress(conn.remote)}\n`);
    for await (const bytes of conn) await conn.write(bytes);
  },
  port: 7001,
  host: '127.0.0.1',
  // Only the balancers: whoever else connects could say that it is anybody.
  proxy: { from: ['loopback'] },
  // Longer than the balancer takes to notice.
  lead: 5_000,
  grace: 30_000,
  spread: 5_000,
  onStart: async (server) => {
    await beReady();
    server.on('state', (state) => {
      if (state === 'draining') void ready?.close();
    });
  },
  onStop: () => ready?.close(),
});

export default config;

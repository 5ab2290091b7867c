// One of two servers behind a load balancer: it says which one it is and who its client really is, and then echoes.
//   NAME=one npx portside serve --config examples/load-balancers/backend.config.ts --port 7001 --admin 127.0.0.1:7101
//   NAME=two npx portside serve --config examples/load-balancers/backend.config.ts --port 7002 --admin 127.0.0.1:7102
//   haproxy -f examples/load-balancers/haproxy.cfg
//   nc 127.0.0.1 7000
// SIGTERM to one of them: its /readyz fails at once, and it closes its port five seconds later, when HAProxy sends nobody there.
import { defineConfig, formatAddress } from 'portside';
import type { Config, Connection } from 'portside';

const { NAME: name = 'one' } = process.env;

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
});

export default config;

// The chat with limits, and all other options of its server, in a file.
//   npx portside serve --config examples/chat.config.ts
//   nc 127.0.0.1 7000
import { defineConfig } from 'portside';
import type { Config } from 'portside';

const config: Config = defineConfig({
  handler: './chat.ts',
  port: 7000,
  // Others than this machine come in by '0.0.0.0' or '::'.
  host: '127.0.0.1',
  maxConnections: 500,
  // Whoever shares an address, as a family does, shares these too.
  maxPerClient: 5,
  rate: { connections: 20, per: 60_000, burst: 5 },
  refuseWith: (refusal) => {
    switch (refusal.kind) {
      case 'rate':
        return { send: `You come too often. Try again in ${Math.ceil(refusal.retryAfter / 1_000)} s.\n` };
      case 'client-full':
        return { send: `You are here ${refusal.limit} times already.\n` };
      default:
        return 'reset';
    }
  },
  deadlines: { firstByte: 60_000, idle: 8 * 60 * 60_000 },
  grace: 30_000,
});

export default config;

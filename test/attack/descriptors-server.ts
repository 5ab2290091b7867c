/** A server that answers lines, for a test that leaves it without descriptors: `node descriptors-server.ts <transport>`. Each line on its input is answered by its status. */
import { createInterface } from 'node:readline';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import { serve } from '../../src/server/server.ts';
import { echoes } from './handlers.ts';

const transport = process.argv[2] === 'native' ? nativeTransport() : nodeTransport;
const server = await serve(echoes.function, { port: 0, host: '127.0.0.1', transport });
const [address] = server.addresses;
console.log(`port ${address !== undefined && 'port' in address ? address.port : 0}`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') break;
  console.log(`${line} ${JSON.stringify({ ...server.status(), cpu: process.cpuUsage() })}`);
}
await server.stop({ grace: 0 });
console.log('stopped');

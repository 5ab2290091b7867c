// The time of day by a function that takes no connection: what it prints goes to the client that it runs for, and where there
// is none, to the terminal. A program of its own.
//   node examples/daytime-thunk.ts            (PORT=1315 by default)
//   nc 127.0.0.1 1315
import { formatAddress, listen, print, serveThunk } from 'portside';

async function daytime(): Promise<void> {
  await print(`${new Date().toISOString()}\r`);
}

const listener = await listen({ port: process.env['PORT'] ?? 1_315, host: '127.0.0.1' });
const server = serveThunk(listener, daytime, { maxRequests: 100 });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.stop());
// Here nobody is served.
await print(`Telling the time on ${formatAddress(listener.address)}. It is now:`);
await daytime();
await server.closed;
await listener.close();

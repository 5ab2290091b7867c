import { startParallel } from '../../../src/parallel/start-parallel.ts';

// A whole program: serves until a signal ends it, and tells how its connections ended. Its options are its argument.
const options = JSON.parse(process.argv[2] ?? '{}') as object;
const server = await startParallel(new URL('./commands.ts', import.meta.url), {
  port: 0,
  host: '127.0.0.1',
  parallelism: 2,
  ...options,
});
server.on('worker', ({ kind }) => console.log(kind));
const [address] = server.addresses;
console.log(`port ${address !== undefined && 'port' in address ? address.port : 0}`);
const { entries, took, lost, ...counts } = await server.run({
  onSignal: (signal, again) => console.log(signal, again),
});
console.log(`over ${JSON.stringify(counts)} ${entries.length} ${lost.length} ${took >= 0}`);

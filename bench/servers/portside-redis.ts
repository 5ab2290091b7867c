/** The Redis of the examples. They import `portside` by name, which is the sources here, as for all others that are measured. */
import { registerHooks } from 'node:module';
import { serve } from '../../src/index.ts';
import { announce, port, portOf, transportName } from './control.ts';

const sources = new URL('../../src/index.ts', import.meta.url).href;
registerHooks({
  resolve: (name, context, next) => (name === 'portside' ? { url: sources, shortCircuit: true } : next(name, context)),
});
const { default: redis } = await import('../../examples/redis.ts');

const server = await serve(redis, { port, host: '127.0.0.1', transport: transportName() });
announce(portOf(server.addresses[0]));

/** One listener over several threads; DISPATCH says who gets a connection. */
import { startParallel } from '../../src/index.ts';
import type { Dispatch } from '../../src/index.ts';
import { announce, port, portOf, transportName, workers } from './control.ts';

const server = await startParallel(new URL('./parallel-handler.ts', import.meta.url), {
  port,
  host: '127.0.0.1',
  parallelism: workers,
  transport: transportName(),
  dispatch: process.env.DISPATCH as Exclude<Dispatch, object>,
});
announce(portOf(server.addresses[0]));

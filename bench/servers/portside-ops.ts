/** Echo as a protocol, on one thread or over WORKERS; with OPS also with the admin endpoint and metrics, as the command has them. Says `ADMIN n` before its port then. */
import { serve, startParallel } from '../../src/index.ts';
import { startAdmin, subjectOf } from '../../src/ops.ts';
import { metricsOf } from '../../src/ops/metrics.ts';
import handler from './parallel-handler.ts';
import { announce, port, portOf, transportName } from './control.ts';

const parallelism = Number(process.env.WORKERS ?? 0);
const place = { port, host: '127.0.0.1', transport: transportName() };
const server =
  parallelism > 0
    ? await startParallel(new URL('./parallel-handler.ts', import.meta.url), { ...place, parallelism })
    : await serve(handler, place);
if (process.env.OPS !== undefined) {
  const subject = subjectOf(server);
  const admin = await startAdmin(subject, { listen: ':0', metrics: metricsOf(subject) });
  process.stdout.write(`ADMIN ${portOf(admin.address)}\n`);
}
announce(portOf(server.addresses[0]));

import { threadId } from 'node:worker_threads';
import { connect } from '../../net/connect.ts';
import { autoTransport } from '../../net/transports.ts';
import type { AutoTransport } from '../../net/transports.ts';
import { planOf } from '../../parallel/plan.ts';
import { startParallel } from '../../parallel/start-parallel.ts';
import { explain } from '../explain.ts';
import type { Finding } from './finding.ts';
import { PATIENCE } from './probes.ts';

/** What carries the bytes when nobody says otherwise, and why. */
export function transport(
  find: () => AutoTransport = autoTransport,
  named: string | undefined = process.env['PORTSIDE_TRANSPORT'],
): Finding {
  const means = 'it carries the bytes: node is node:net, native a core in C for Linux';
  const said = named === undefined || named === '' ? null : named;
  const finding = { id: 'transport', means };
  try {
    const { name, why } = find();
    const values = { name, why, PORTSIDE_TRANSPORT: said };
    const found = `${name}: ${why}`;
    const wished = name === 'native' || said === name;
    return wished
      ? { ...finding, state: 'ok', found, todo: null, values }
      : { ...finding, state: 'note', found, todo: 'nothing is lost but speed; what is missing is told above', values };
  } catch (error) {
    const values = { name: null, why: null, PORTSIDE_TRANSPORT: said };
    const todo = 'set PORTSIDE_TRANSPORT to auto, or unset it';
    return { ...finding, state: 'bad', found: explain(error, false), todo, values };
  }
}

/** The file that the worker begins with: the sources as they are, or what was built of them. */
const GREETER = import.meta.url.endsWith('.ts')
  ? new URL('./greeter.ts', import.meta.url)
  : new URL('./greeter.js', import.meta.url);

/** Whether a connection that one thread accepts can be served by another; tried. */
export async function transfer(): Promise<Finding> {
  const means = '--workers serves over threads by it';
  const finding = { id: 'transfer', means };
  const place = { port: 0, host: '127.0.0.1' };
  try {
    const { transportName } = await planOf(place);
    const server = await startParallel(GREETER, {
      ...place,
      parallelism: 1,
      bootTimeout: PATIENCE,
      onWorkerDeath: 'stop',
    });
    try {
      const [address] = server.addresses;
      if (address === undefined) throw new Error('it listens nowhere');
      const conn = await connect(address, { timeout: PATIENCE });
      const answer = await conn.readLine({ timeout: PATIENCE }).finally(() => conn.abort());
      const served = Number(answer);
      const values = { works: served !== threadId, transport: transportName };
      if (answer !== null && served !== threadId)
        return {
          ...finding,
          state: 'ok',
          found: `a connection went to another thread, by ${transportName}`,
          todo: null,
          values,
        };
      throw new Error('nobody answered in the other thread');
    } finally {
      await server.stop({ grace: 0 });
    }
  } catch (error) {
    const found = `does not work: ${explain(error, false)}`;
    const todo = 'upgrade Node to 24.21, 26.6 or later, or build the native core; or serve with several processes';
    return { ...finding, state: 'note', found, todo, values: { works: false, transport: null } };
  }
}

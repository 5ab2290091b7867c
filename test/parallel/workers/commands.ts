import { resourceLimits, threadId, workerData } from 'node:worker_threads';
import type { Connection } from '../../../src/net/connection.ts';
import { detach } from '../../../src/server/detach.ts';

// Does what the lines ask for; any other line comes back.
export default async function commands(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    const [command, argument = ''] = line.split(' ');
    switch (command) {
      case 'thread':
        await conn.write(`${threadId}\n`);
        break;
      case 'setting': {
        const { argv, execArgv, env } = process;
        const setting = {
          data: workerData as unknown,
          env: env[argument],
          argv: argv.slice(2),
          execArgv,
          resourceLimits,
        };
        await conn.write(`${JSON.stringify(setting)}\n`);
        break;
      }
      case 'throw':
        setImmediate(() => {
          throw new RangeError('asked to throw');
        });
        break;
      case 'exit':
        process.exit(3);
        break;
      case 'hang':
        await conn.write('hanging\n');
        await conn.flushed();
        for (;;);
      case 'spin': {
        const end = performance.now() + Number(argument);
        while (performance.now() < end);
        break;
      }
      case 'doze': {
        await conn.write('dozing\n');
        await conn.flushed();
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(argument));
        await conn.write('awake\n');
        break;
      }
      case 'fail':
        throw new Error('asked to fail');
      case 'memory': {
        const held: number[][] = [];
        for (;;) held.push(Array.from({ length: 100_000 }, (_, i) => i));
      }
      case 'draining':
        conn.busy = true;
        await conn.write('waiting\n');
        await new Promise((resolve) => conn.draining.addEventListener('abort', resolve));
        await conn.write('draining\n');
        conn.busy = false;
        break;
      case 'detach':
        void detach(conn).write('detached\n');
        return;
      default:
        await conn.write(`${line}\n`);
    }
  }
}

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { tcpBackend } from './backends.ts';
import type { Crossable } from './crossing.ts';

const PATIENCE = 30_000;

const worker = new URL('workers/lone-end.ts', import.meta.url).href;

/** Runs a module in a process of its own, which has to end by itself, and gives what it printed. */
async function run(on: Crossable, body: string): Promise<string> {
  const source = `${tcpBackend(on.transport, on.name).child?.() ?? ''}
import { Worker } from 'node:worker_threads';
const bind = { backlog: 16, reusePort: false, reuseAddress: undefined };
const passage = transport.passages.passage(4);
const address = { family: 'ipv4', host: '127.0.0.1', port: 9 };
/** Starts a thread with the other end, which does as it is told, and resolves when it has. */
const far = (orders) => new Promise((resolve) => {
  const worker = new Worker(new URL(${JSON.stringify(worker)}), {
    workerData: { transport: ${JSON.stringify(on.name)}, ticket: passage.ticket, address, orders },
    transferList: [...passage.transfer],
    execArgv: ['--no-warnings'],
  });
  worker.on('message', () => resolve(worker));
  worker.on('exit', () => console.log('thread ended'));
});
${body}`;
  const args = ['--input-type=module-typescript', '--no-warnings', '-e', source];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (out += text));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on('close', (...how: [number | null, NodeJS.Signals | null]) => resolve(how));
  });
  assert.equal(signal, null, `it did not end by itself; it printed: ${out}`);
  assert.equal(code, 0, out);
  return out.trim();
}

/** Promises about what keeps a process and a thread alive. */
export function passageAlone(on: Crossable): void {
  describe('in a process of its own', () => {
    test('a passage keeps nobody alive, open or with somebody under way', async () => {
      const out = await run(
        on,
        `const acceptor = await transport.listen(target, bind);
         let channel = null;
         acceptor.watcher = { ready() { channel = acceptor.take(); }, trouble(error) { throw error; } };
         acceptor.want(true);
         const client = await transport.dial(dialTarget(acceptor.address)).result;
         while (channel === null) await new Promise((resolve) => setImmediate(resolve));
         passage.onRoom = () => {};
         console.log(passage.give(channel, 1));
         for (const it of [acceptor, client]) it.ref(false);`,
      );
      assert.equal(out, 'true');
    });

    test('arrivals keep their thread alive, and so the process', async () => {
      const out = await run(
        on,
        `await far([]);
         // It would end before this unreferenced timer if nothing held it.
         setTimeout(() => { console.log('held'); process.exit(0); }, 300).unref();`,
      );
      assert.equal(out, 'held');
    });

    for (const order of ['unref', 'close']) {
      test(`arrivals let their thread end after ${order}`, async () => {
        assert.equal(await run(on, `await far([${JSON.stringify(order)}]);`), 'thread ended');
      });
    }

    test('arrivals that are referenced again keep their thread', async () => {
      const out = await run(
        on,
        `await far(['unref', 'ref']);
         setTimeout(() => { console.log('held'); process.exit(0); }, 300).unref();`,
      );
      assert.equal(out, 'held');
    });
  });
}

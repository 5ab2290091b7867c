import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { staged } from './stage.ts';
import type { Make, Stage } from './stage.ts';

const PATIENCE = 30_000;
const DESCRIPTORS = 64;

const COMMON = `
const bind = { backlog: 16, reusePort: false, reuseAddress: undefined };
const acceptor = await transport.listen(target, bind);
const dial = () => transport.dial(dialTarget(acceptor.address)).result;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const taken = [];
const troubles = [];
acceptor.watcher = {
  ready() { for (let c = acceptor.take(); c !== null; c = acceptor.take()) taken.push(c); },
  trouble(error) { troubles.push(error.code); },
};
`;

/** Runs a module in a process of its own, which has to end by itself, and gives what it printed. */
async function run(stage: Stage, body: string, descriptors?: number): Promise<string> {
  assert.ok(stage.backend.child !== undefined);
  const source = `${stage.backend.child()}\n${COMMON}\n${body}`;
  const node = [process.execPath, '--input-type=module-typescript', '--no-warnings', '-e', source];
  const [command = '', ...args] =
    descriptors === undefined ? node : ['sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh', ...node];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE, killSignal: 'SIGKILL' });
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

/** Promises that need a process of their own: what keeps it alive, and what happens without descriptors. */
export function alone(make: Make): void {
  describe('in a process of its own', () => {
    test(
      'an acceptor and channels that are not referenced let the process end',
      staged(make, async (stage) => {
        if (stage.backend.child === undefined) return;
        const out = await run(
          stage,
          `acceptor.want(true);
           const client = await dial();
           while (taken.length === 0) await turn();
           client.flow(true);
           taken[0].flow(true);
           for (const it of [acceptor, client, taken[0]]) it.ref(false);
           process.on('exit', () => console.log('ended'));`,
        );
        assert.equal(out, 'ended');
      }),
    );

    test(
      'an acceptor keeps the process alive, and so does a channel that flows',
      staged(make, async (stage) => {
        if (stage.backend.child === undefined) return;
        for (const holder of ['acceptor', 'client'] as const) {
          const out = await run(
            stage,
            `acceptor.want(true);
             const client = await dial();
             while (taken.length === 0) await turn();
             client.flow(true);
             const all = { acceptor, client, server: taken[0] };
             for (const it of Object.values(all)) it.ref(false);
             all.${holder}.ref(true);
             // It would end before this unreferenced timer if nothing held it.
             setTimeout(() => { console.log('held'); process.exit(0); }, 300).unref();`,
          );
          assert.equal(out, 'held', holder);
        }
      }),
    );

    test(
      'a channel that nobody reads, or whose peer has ended, does not keep the process alive',
      staged(make, async (stage) => {
        // TLS reads ahead.
        if (stage.backend.child === undefined || !stage.backend.transport.flags.descriptors) return;
        const states = {
          fresh: '',
          ended: "client.flow(true); taken[0].shutdown(); await heard('end');",
          paused:
            "client.flow(true); taken[0].send(Buffer.from('x')); await heard('data'); client.flow(false); taken[0].shutdown();",
        };
        for (const [state, statements] of Object.entries(states)) {
          const out = await run(
            stage,
            `acceptor.want(true);
             const client = await dial();
             while (taken.length === 0) await turn();
             const heard = (what) => new Promise((resolve) => {
               client.sink = { data() {}, end() {}, writable() {}, close() {}, [what]: resolve };
             });
             ${statements}
             acceptor.close();
             process.on('exit', () => console.log('ended'));`,
          );
          assert.equal(out, 'ended', state);
        }
      }),
    );

    test(
      'what a channel that does not keep the process alive was asked for is done, and told, before the process ends',
      staged(make, async (stage) => {
        if (stage.backend.child === undefined) return;
        const asked = {
          drop: "client.destroy('drop');",
          flush: "client.send(Buffer.from('x')); client.destroy('flush');",
          writable: "client.send(Buffer.from('x')); client.wantWritable();",
          turned: 'client.flow(true); client.wantWritable(); client.flow(false);',
        };
        for (const [what, statements] of Object.entries(asked)) {
          const out = await run(
            stage,
            `acceptor.want(true);
             const client = await dial();
             while (taken.length === 0) await turn();
             acceptor.close();
             taken[0].ref(false);
             // Out of whatever called.
             await turn();
             const done = () => { console.log('told'); client.destroy('drop'); client.sink = { ...client.sink, close() {} }; };
             client.sink = { data() {}, end() {}, writable: done, close: done };
             ${statements}`,
          );
          assert.equal(out, 'told', what);
        }
      }),
    );

    test(
      'output that is under way keeps it alive until it is with the kernel, in pieces of any size, and so does its end',
      staged(make, async (stage) => {
        if (stage.backend.child === undefined) return;
        for (const [pieces, size, then] of [
          [20_000, 1_000, 'client.shutdown();'],
          [
            1,
            20_000_000,
            "client.wantWritable(); client.sink = { data() {}, end() {}, close() {}, writable() { client.destroy('flush'); } };",
          ],
        ] as const) {
          const out = await run(
            stage,
            `acceptor.want(true);
             const client = await dial();
             while (taken.length === 0) await turn();
             let got = 0;
             taken[0].sink = {
               data: (bytes) => { got += bytes.length; },
               end: () => { console.log(got); taken[0].destroy('flush'); },
               writable() {},
               close() {},
             };
             acceptor.close();
             for (let i = 0; i < ${pieces}; i += 1) client.send(new Uint8Array(${size}));
             ${then}
             // Nothing is read before the kernel is full; from then on the reader holds the process.
             setTimeout(() => taken[0].flow(true), 100).unref();`,
          );
          assert.equal(out, String(pieces * size));
        }
      }),
    );

    test(
      'closed and destroyed, nothing is left that keeps the process alive',
      staged(make, async (stage) => {
        if (stage.backend.child === undefined) return;
        const out = await run(
          stage,
          `acceptor.want(true);
           const client = await dial();
           while (taken.length === 0) await turn();
           client.flow(true);
           client.destroy('drop');
           taken[0].destroy('reset');
           acceptor.close();
           console.log('done');`,
        );
        assert.equal(out, 'done');
      }),
    );

    test(
      'without descriptors dialling fails with EMFILE, accepting goes on by itself when there are some again',
      staged(make, async (stage) => {
        if (stage.backend.child === undefined || process.platform === 'win32') return;
        const out = await run(
          stage,
          `import { closeSync, openSync } from 'node:fs';
           // What is made on first use is made now: no descriptor for it would be left later.
           acceptor.want(true);
           const first = await dial();
           while (taken.length < 1) await turn();
           acceptor.want(false);
           const hold = [];
           const exhaust = () => { for (;;) try { hold.push(openSync('/dev/null')); } catch (error) { if (error.code !== 'EMFILE') throw error; return; } };
           exhaust();
           const failed = await dial().catch((error) => error.code);
           // One descriptor: enough for the client, none for the server's side of it.
           closeSync(hold.pop());
           const pending = dial().then((channel) => channel, () => null);
           exhaust();
           acceptor.want(true);
           if (acceptor.kernelQueue) while (troubles.length === 0) await turn();
           else for (let i = 0; i < 50; i++) await turn();
           const then = taken.length;
           for (const fd of hold) closeSync(fd);
           if (acceptor.kernelQueue) while (taken.length < 2) await turn();
           const another = await dial();
           while (taken.length < (acceptor.kernelQueue ? 3 : 2)) await turn();
           console.log(JSON.stringify({ failed, then, troubles: [...new Set(troubles)] }));
           for (const it of [first, await pending, another, ...taken]) it?.destroy('reset');
           acceptor.close();`,
          DESCRIPTORS,
        );
        const { failed, then, troubles } = JSON.parse(out) as { failed: string; then: number; troubles: string[] };
        assert.equal(failed, 'EMFILE');
        assert.equal(then, 1);
        // Without a queue in the kernel it may be the system library that answers, as libuv does, by closing the client.
        if (stage.transport.flags.kernelQueue) assert.deepEqual(troubles, ['EMFILE']);
        else assert.ok(troubles.every((code) => code === 'EMFILE'));
      }),
    );
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { ServerStatus } from '../../src/server/status.ts';
import { start } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { askByLine, assertAddsUp } from '../support/siege.ts';
import { watchLeaks } from '../support/leaks.ts';
import { Raw, onEachKernel } from './raw.ts';

const DESCRIPTORS = 64;
const ATTACKERS = 200;

type Told = ServerStatus & { readonly cpu: { readonly user: number; readonly system: number } };

let asked = 0;

async function statusOf(program: Program): Promise<Told> {
  const word = `question-${(asked += 1)}`;
  program.write(`${word}\n`);
  const [, text] = await program.until(new RegExp(`^${word} (.*)$`, 'mu'));
  return JSON.parse(text ?? '') as Told;
}

async function settled(program: Program, met: (status: Told) => boolean): Promise<Told> {
  const end = performance.now() + 10_000;
  for (;;) {
    const status = await statusOf(program);
    if (met(status)) return status;
    assert.ok(performance.now() < end, JSON.stringify(status));
  }
}

onEachKernel('attackers that hold every descriptor of the process', (net) => {
  test(
    'keep nobody out who is in, cost the server no work, and newcomers get in when they are gone',
    { skip: process.platform === 'win32' },
    async (t) => {
      const noLeaks = watchLeaks();
      const file = fileURLToPath(new URL('./descriptors-server.ts', import.meta.url));
      const node = [process.execPath, '--disable-warning=ExperimentalWarning', file, net.name];
      const program = start(t, 'sh', ['-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh', ...node]);
      const port = Number((await program.until(/^port (\d+)$/mu))[1]);
      const dial = (): Promise<Connection> => connect({ host: '127.0.0.1', port }, { timeout: 5_000 });
      const honest = await dial();
      await askByLine(honest, 5_000);

      const attackers = Array.from({ length: ATTACKERS }, () => new Raw(port).drain());
      await Promise.all(attackers.map(({ opened }) => opened));
      // As many as it can have are in; the others wait in the kernel, or were turned away by libuv.
      await settled(program, ({ active }) => active > DESCRIPTORS / 2);
      const before = await statusOf(program);
      const began = performance.now();
      for (let i = 0; performance.now() - began < 600; i += 1) {
        await askByLine(honest, 2_000);
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
      const after = await statusOf(program);
      assert.ok(after.active < DESCRIPTORS);
      const spent = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system;
      assert.ok(spent < 400_000, `it spent ${spent / 1_000} ms of 600 on it`);
      if (net.transport.flags.kernelQueue) {
        assert.ok(after.troubles >= 1, 'it is told');
        assert.ok(after.troubles <= 10, `and not over and over: ${after.troubles}`);
      }
      assert.equal(after.state, 'running');

      for (const attacker of attackers) attacker.reset();
      await Promise.all(attackers.map(({ fate }) => fate));
      const newcomers = await Promise.all(Array.from({ length: 10 }, dial));
      for (const newcomer of newcomers) await askByLine(newcomer, 5_000);
      await askByLine(honest, 5_000);
      assertAddsUp(await settled(program, ({ active }) => active === 11));
      await Promise.all([honest, ...newcomers].map((client) => client.close()));
      program.end('stop\n');
      await program.until(/^stopped$/mu);
      assert.deepEqual(await program.exit, { code: 0, signal: null }, program.err);
      assert.equal(program.err, '');
      await noLeaks();
    },
  );
});

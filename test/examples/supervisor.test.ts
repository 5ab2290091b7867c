import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { startNc, startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';

const NAMES = ['ann', 'bob', 'cid'];

async function supervised(t: TestContext, risk = 0): Promise<{ server: Program; port: number }> {
  const server = startNode(t, ['examples/supervisor.ts'], { PORT: '0', RISK: String(risk) });
  const [, port] = await server.until(/work: nc 127\.0\.0\.1 (\d+)\n/u);
  return { server, port: Number(port) };
}

/** Somebody who watches, when he has seen what there was. */
async function watcher(t: TestContext, port: number, working = NAMES): Promise<Program> {
  const nc = startNc(t, port, '-N');
  for (const name of working) await nc.until(new RegExp(`^${name} works\n`, 'mu'));
  return nc;
}

/** What became of a worker, but for its steps. */
function fateOf(name: string, watching: Program): string[] {
  const lines = watching.out.split('\n').filter((line) => line.startsWith(`${name} `) && !line.includes(' did step '));
  return lines.map((line) => line.slice(name.length + 1));
}

describe('examples/supervisor.ts', { concurrency: 2 }, () => {
  test('keeps three at work, whoever of them is killed', async (t) => {
    const { server, port } = await supervised(t);
    const watching = await watcher(t, port);
    const other = await watcher(t, port);
    for (const name of NAMES) {
      other.write(`kill ${name}\n`);
      await watching.until(new RegExp(`${name} has stopped: killed\n[^]*${name} works\n`, 'u'));
    }
    for (const name of NAMES) assert.deepEqual(fateOf(name, watching), ['works', 'has stopped: killed', 'works']);
    // Each begins anew.
    await watching.until(/ann did step 1\n[^]*ann did step 2\n/u);
    const late = await watcher(t, port);
    for (const name of NAMES) assert.deepEqual(fateOf(name, late), ['works']);
    server.signal('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal(server.err, '');
  });

  test('gives up one that fails too often, and leaves the others alone', async (t) => {
    const { port } = await supervised(t);
    const watching = await watcher(t, port);
    for (let times = 1; times <= 5; times += 1) {
      await watching.until(new RegExp(`(?:bob works\n[^]*){${times}}`, 'u'));
      watching.write('kill bob\n');
      await watching.until(new RegExp(`(?:bob has stopped[^]*){${times}}`, 'u'));
    }
    await watching.until(/bob is given up: killed\n/u);
    const late = await watcher(t, port, ['ann', 'cid']);
    await late.until(/bob is given up: killed\n/u);
    assert.deepEqual(fateOf('bob', late), ['is given up: killed']);
    await late.until(/ann did step[^]*ann did step/u);
    assert.deepEqual(fateOf('bob', late), ['is given up: killed'], 'and is not tried again');
    late.write('again bob\n');
    await watching.until(/bob is given up: killed\n[^]*bob works\n/u);
    assert.deepEqual(fateOf('ann', watching), ['works']);
  });

  test('starts what fails by itself again', async (t) => {
    const { port } = await supervised(t, 1);
    const watching = await watcher(t, port);
    await watching.until(/cid has stopped: bad luck\n[^]*cid works\n/u);
  });

  test('tells who orders something else what can be ordered', async (t) => {
    const { port } = await supervised(t);
    const watching = await watcher(t, port);
    watching.write('kill eve\nfeed ann\nagain ann\n\n');
    await watching.until(/(?:Say "kill" or "again"[^\n]*\n[^]*){3}/u);
    for (const name of NAMES) assert.deepEqual(fateOf(name, watching), ['works']);
  });
});

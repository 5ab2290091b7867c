import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { main, packageVersion } from '../../src/cli/main.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { inCheckout, start, startPortside } from '../support/program.ts';

interface Finding {
  readonly id: string;
  readonly state: 'ok' | 'note' | 'bad';
  readonly found: string;
  readonly means: string;
  readonly todo: string | null;
  readonly values: Readonly<Record<string, string | number | boolean | null>>;
}

interface Report {
  readonly portside: string;
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

const IDS =
  'platform node transport descriptors ceiling backlog local-ports processors memory transfer reuse-port ipv6 low-ports tls';

/** `portside doctor --json`, under another program if need be. */
async function examined(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
  ...under: readonly string[]
): Promise<{ code: number | null; find: (id: string) => Finding; report: Report }> {
  const node = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
  const words = [...under, process.execPath, ...node, inCheckout('src/cli/bin.ts'), 'doctor', '--json'];
  const program = start(t, words[0] ?? '', words.slice(1), env);
  const { code } = await program.exit;
  const report = JSON.parse(program.out) as Report;
  const find = (id: string): Finding => {
    const finding = report.findings.find((each) => each.id === id);
    assert.ok(finding !== undefined, id);
    return finding;
  };
  return { code, find, report };
}

/** A number that the kernel tells. */
function kernel(path: string): number {
  return Number(readFileSync(`/proc/sys/${path}`, 'utf8'));
}

const linux = process.platform === 'linux' ? false : 'for Linux';

describe('portside doctor', { skip: linux }, () => {
  test('tells of each thing what there is, what it means, and what to do unless it is ok', async (t) => {
    const { code, report } = await examined(t);
    assert.equal(report.portside, packageVersion());
    assert.equal(report.findings.map(({ id }) => id).join(' '), IDS);
    for (const { id, state, found, means, todo } of report.findings) {
      assert.ok(found !== '' && means !== '', id);
      assert.equal(todo === null, state === 'ok', id);
    }
    const bad = report.findings.some(({ state }) => state === 'bad');
    assert.deepEqual({ code, ok: report.ok }, { code: bad ? 1 : 0, ok: !bad });
  });

  test('tells the same in lines, and counts them', async (t) => {
    const program = startPortside(t, ['doctor']);
    const { code } = await program.exit;
    assert.equal(program.err, '');
    assert.match(program.out, /^ok {3}platform {5}linux \w+, kernel .*\n {18}\S/u);
    const states = [...program.out.matchAll(/^(ok|note|bad) +([a-z0-9-]+) {2}/gmu)].map(([, state]) => state);
    assert.equal(states.length, IDS.split(' ').length);
    const [, ok, notes, bad] = /^(\d+) ok, (\d+) notes?, (\d+) bad\n$/mu.exec(program.out) ?? [];
    const count = (state: string): number => states.filter((each) => each === state).length;
    assert.deepEqual([ok, notes, bad].map(Number), [count('ok'), count('note'), count('bad')]);
    assert.equal(program.out.match(/^ +to do: /gmu)?.length ?? 0, count('note') + count('bad'));
    assert.equal(code, count('bad') > 0 ? 1 : 0);
  });

  test('has the values of this machine', async (t) => {
    const { find } = await examined(t);
    assert.equal(find('node').values['version'], process.versions.node);
    assert.equal(find('node').state, 'ok');
    assert.equal(find('ceiling').values['nrOpen'], kernel('fs/nr_open'));
    assert.equal(find('backlog').values['somaxconn'], kernel('net/core/somaxconn'));
    const [from, to] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/u).map(Number);
    const { values } = find('local-ports');
    assert.deepEqual([values['from'], values['to'], values['count']], [from, to, (to ?? 0) - (from ?? 0) + 1]);
    assert.equal(find('processors').values['seen'], cpus().length);
    assert.equal(find('processors').values['usable'], availableParallelism());
    assert.equal(find('tls').values['openssl'], process.versions.openssl);
    assert.equal(find('tls').values['protocol'], 'TLSv1.3');
    assert.equal(find('low-ports').values['first'], kernel('net/ipv4/ip_unprivileged_port_start'));
  });

  test('goes by the limit of descriptors that it was started with: too few are bad, and the exit code is 1', async (t) => {
    const { code, find, report } = await examined(t, {}, 'prlimit', '--nofile=300:300');
    const { state, values, todo } = find('descriptors');
    assert.deepEqual([code, report.ok, state, values['soft'], values['hard']], [1, false, 'bad', 300, 300]);
    const most = Number(/--max-connections (\d+)/u.exec(todo ?? '')?.[1]);
    assert.ok(most > 200 && most < 300, String(most));
    // As many as Node may raise it to.
    const raised = await examined(t, {}, 'prlimit', '--nofile=300:15000');
    assert.deepEqual([raised.find('descriptors').values['soft'], raised.find('descriptors').state], [15_000, 'ok']);
  });

  test('goes by the processors that it may use', async (t) => {
    const { find } = await examined(t, {}, 'taskset', '-c', '0');
    assert.equal(find('processors').values['usable'], 1);
  });

  test('tells which transport auto is and why, and a name in PORTSIDE_TRANSPORT that is none', async (t) => {
    const { find } = await examined(t, { PORTSIDE_TRANSPORT: '' });
    const { found, values } = find('transport');
    const loaded = loadNative();
    assert.equal(values['name'], 'addon' in loaded ? 'native' : 'node');
    assert.match(String(values['why']), 'addon' in loaded ? /^the native core loads, from /u : /./u);
    assert.equal(found, `${String(values['name'])}: ${String(values['why'])}`);
    const named = await examined(t, { PORTSIDE_TRANSPORT: 'node' });
    assert.match(named.find('transport').found, /^node: PORTSIDE_TRANSPORT is node$/u);
    const wrong = await examined(t, { PORTSIDE_TRANSPORT: 'x' });
    assert.deepEqual([wrong.code, wrong.find('transport').state], [1, 'bad']);
    assert.match(wrong.find('transport').found, /PORTSIDE_TRANSPORT is "x"; it can be "auto", "node" or "native"/u);
  });

  test('tries what has to be tried: in a network without anything, loopback is down', async (t) => {
    const alone = start(t, 'unshare', ['--net', 'true']);
    if ((await alone.exit).code !== 0) {
      t.skip('this user may not make a network namespace');
      return;
    }
    const { code, find } = await examined(t, {}, 'unshare', '--net');
    assert.equal(code, 1);
    assert.equal(find('ipv6').state, 'note');
    assert.equal(find('tls').state, 'bad');
  });

  test('2 for wrong usage', async () => {
    let err = '';
    const code = await main(['doctor', '--jsno'], { out: () => assert.fail('it wrote'), err: (text) => (err += text) });
    assert.equal(code, 2);
    assert.match(err, /unknown option '--jsno'\n\(Did you mean --json\?\)/u);
  });
});

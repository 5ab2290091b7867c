import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { temporaryFolder } from '../support/folder.ts';
import { endAll } from '../support/nets.ts';
import { inCheckout, start, startServing } from '../support/program.ts';
import { withoutPrometheus } from './metrics-support.ts';

/** A `portside serve`, by the ports of its clients and of its admin endpoint. */
async function serving(t: TestContext, ...args: readonly string[]): Promise<{ port: number; admin: number }> {
  const file = inCheckout('examples/echo-protocol.ts');
  const { server, port } = await startServing(t, file, { args: ['--admin', '127.0.0.1:0', ...args] });
  const [, admin] = await server.until(/admin on http:\/\/127\.0\.0\.1:(\d+);/u);
  return { port, admin: Number(admin) };
}

/** Prometheus, asking these as the guide's file says but more often; gives where it answers. */
async function startPrometheus(t: TestContext, config: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'portside-prometheus-'));
  const file = join(folder, 'prometheus.yml');
  writeFileSync(file, config);
  const program = start(t, 'prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
    '--log.level=info',
  ]);
  // After it has ended, as it would write there again.
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [, address] = await program.until(/Listening on" address=(127\.0\.0\.1:\d+)/u, 'err');
  await program.until(/Server is ready to receive web requests/u, 'err');
  return `http://${address!}`;
}

interface Queried {
  readonly status: string;
  readonly data: {
    readonly result: readonly { readonly metric: Record<string, string>; readonly value: readonly [number, string] }[];
  };
}

/** What a query gives now, by the job. */
async function query(at: string, text: string): Promise<Map<string, number>> {
  const response = await fetch(`${at}/api/v1/query?query=${encodeURIComponent(text)}`);
  const { status, data } = (await response.json()) as Queried;
  assert.equal(status, 'success', text);
  return new Map(data.result.map(({ metric, value }) => [metric['job'] ?? '', Number(value[1])]));
}

/** Asks until it gives this for each job. */
async function until(at: string, text: string, wanted: Readonly<Record<string, number>>): Promise<void> {
  for (;;) {
    const found = await query(at, text);
    if (Object.entries(wanted).every(([job, value]) => found.get(job) === value)) return;
    await sleep(50);
  }
}

async function load(port: number): Promise<Connection[]> {
  const clients = await Promise.all(
    Array.from({ length: 20 }, () => connect({ host: '127.0.0.1', port }, { transport: nodeTransport })),
  );
  for (const client of clients) {
    await client.write('hello\n');
    assert.equal(await client.readLine(), 'hello');
  }
  return clients;
}

/** What the guide shows in a language. */
function shown(language: string): readonly string[] {
  const guide = readFileSync(inCheckout('docs/guide/metrics.md'), 'utf8');
  const fence = '```';
  const block = new RegExp(`^${fence}${language}\\n([^]*?)^${fence}$`, 'gmu');
  const blocks = [...guide.matchAll(block)].map(([, text]) => text!);
  assert.ok(blocks.length > 0, language);
  return blocks;
}

function swapped(text: string, what: string, by: string): string {
  assert.ok(text.includes(what), `the guide has no ${what}`);
  return text.replace(what, by);
}

/** The guide's first configuration, for these ports, each as a job of its own. */
function configured(ports: Readonly<Record<string, number>>): string {
  const [head = '', job = ''] = shown('yaml')[0]!.split(/(?<=scrape_configs:\n)/u);
  const jobs = Object.entries(ports).map(([name, port]) =>
    swapped(swapped(job, 'job_name: portside', `job_name: ${name}`), '127.0.0.1:7001', `127.0.0.1:${port}`),
  );
  return swapped(head, 'scrape_interval: 15s', 'scrape_interval: 200ms') + jobs.join('');
}

const skip = withoutPrometheus();

test('a real Prometheus scrapes a served program on one thread, and over workers', { skip }, async (t) => {
  const [alone, workers] = await Promise.all([serving(t), serving(t, '--workers', '2')]);
  const prometheus = await startPrometheus(t, configured({ alone: alone.admin, workers: workers.admin }));
  await until(prometheus, 'up', { alone: 1, workers: 1 });
  const clients = [...(await load(alone.port)), ...(await load(workers.port))];
  await until(prometheus, 'portside_connection_accepted_total', { alone: 20, workers: 20 });
  await until(prometheus, 'portside_connection_active', { alone: 20, workers: 20 });
  await until(prometheus, 'sum by (job) (portside_worker_connections)', { workers: 20 });
  await until(prometheus, 'sum by (job) (portside_network_io_bytes_total)', { alone: 240, workers: 240 });
  await endAll(...clients);
  const over = 'sum by (job) (portside_connection_closed_total)';
  await until(prometheus, over, { alone: 20, workers: 20 });
  await until(prometheus, 'portside_connection_duration_seconds_count', { alone: 20, workers: 20 });
  await until(prometheus, 'portside_connection_dispatch_duration_seconds_count', { alone: 0, workers: 20 });
  // Its own way with histograms and rates works on them.
  const median = 'histogram_quantile(0.5, sum by (job, le) (portside_connection_duration_seconds_bucket))';
  const medians = await query(prometheus, median);
  const rates = await query(prometheus, 'sum by (job) (rate(portside_connection_accepted_total[1m]))');
  for (const job of ['alone', 'workers']) {
    assert.ok(medians.get(job)! > 0, `${job}: ${String(medians.get(job))}`);
    assert.ok(rates.get(job)! > 0, `${job}: ${String(rates.get(job))}`);
  }
  for (const line of shown('promql').flatMap((block) => block.trim().split('\n'))) {
    await query(prometheus, line);
    const names = line.replaceAll(/\b(?:by|on) \(.*?\)|\{.*?\}/gu, '').match(/\b[a-z]+_[a-z_0-9]+\b/gu) ?? [];
    for (const name of names.filter((one) => one !== 'histogram_quantile'))
      assert.ok((await query(prometheus, `count by (job) (${name})`)).size > 0, `${name} of ${line}`);
  }
});

test('what the guide gives to copy is what promtool takes', { skip }, () => {
  const folder = temporaryFolder();
  const file = join(folder, 'given.yml');
  for (const text of shown('yaml')) {
    writeFileSync(file, text);
    const args = text.startsWith('groups:') ? ['check', 'rules', file] : ['check', 'config', '--syntax-only', file];
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, 0, `${text}\n${stdout}${stderr}`);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PortsideError } from '../../src/base/errors.ts';
import { anyWay, dial, eventually, leavesNoThread, line, startOn, worker } from './support.ts';

leavesNoThread();

test('a config file may be the module of workers: its function gives the handler and the options, at once', async () => {
  const server = await startOn(anyWay, worker('config'), { optionsModule: worker('config'), parallelism: 1 });
  assert.equal(await line(await dial(server)), 'config 1, undefined');
});

test('a module of options that is not the worker’s own may be a function too', async () => {
  const server = await startOn(anyWay, worker('handler'), { optionsModule: worker('config'), parallelism: 1 });
  assert.match(await line(await dial(server)), /^thread \d+$/u);
});

test('a config file without a handler is no module of workers', async () => {
  const given = { optionsModule: worker('early') };
  await assert.rejects(startOn(anyWay, worker('early'), given), {
    code: 'ERR_PORTSIDE_WORKER',
    message: /could not start: .*early\.ts has no handler, and has not called receiveConnections\(\)/u,
  });
});

test('what is preloaded is there before the module', async () => {
  const given = { optionsModule: worker('config'), preload: [worker('early')], parallelism: 1 };
  const server = await startOn(anyWay, worker('config'), given);
  assert.equal(await line(await dial(server)), 'config 1, early');
});

test('an error of a handler names its client', async () => {
  const errors: unknown[] = [];
  const server = await startOn(anyWay, worker('handler'), { onError: (error) => errors.push(error) });
  const client = await dial(server);
  await client.write('fail\n');
  await eventually(() => errors.length > 0);
  const { message, remote } = errors[0] as PortsideError;
  const { local } = client;
  assert.deepEqual([message, remote], ['asked to fail', 'port' in local ? `${local.host}:${local.port}` : '']);
});

test('lines of workers have their index in the prefix, and those of the parent have none', async () => {
  const lines: string[] = [];
  const given = { verbose: 'me', log: (text: string) => void lines.push(text) };
  const server = await startOn(anyWay, worker('handler'), { ...given, dispatch: 'round-robin' });
  for (let i = 0; i < 2; i += 1) await line(await dial(server));
  await eventually(() => [0, 1].every((index) => lines.includes(`[me ${index}] #1 started (1 running)`)));
  server.set({ deny: ['loopback'] });
  await dial(server).catch(() => {});
  await eventually(() => lines.some((text) => /^\[me\] refused 127\.0\.0\.1:\d+: denied$/u.test(text)));
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { AdminEvents } from '../../src/ops/admin-events.ts';
import type { TickJson } from '../../src/ops/admin-status.ts';
import { serve } from '../../src/server/server.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { leavesNothing } from '../support/leaves-nothing.ts';
import { Watching, atEnd, endsItsStands, eventually, standOn, standOne } from './admin-support.ts';

endsItsStands();
leavesNothing();

/** The events of an HTTP server whose ticks are as large as is liked, in a time that is held. */
async function events(size = 0): Promise<{
  readonly hub: AdminEvents;
  readonly clock: VirtualClock;
  readonly refused: { full: number };
  readonly watch: () => Promise<IncomingMessage>;
}> {
  const clock = new VirtualClock();
  const refused = { full: 0 };
  const tick = { filler: 'x'.repeat(size), drain: null };
  const hub = new AdminEvents(10, clock, () => ({ ...tick, refused: { ...refused } }) as unknown as TickJson);
  const server = createServer((_, response) => hub.join(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  atEnd(async () => {
    hub.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const watch = async (): Promise<IncomingMessage> => {
    const asked = request({ host: '127.0.0.1', port, agent: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.on('error', () => {});
    atEnd(async () => response.destroy());
    return response;
  };
  return { hub, clock, refused, watch };
}

/** Reads all that comes. */
function read(response: IncomingMessage): { text: string; ended: boolean } {
  const heard = { text: '', ended: false };
  response.setEncoding('utf8');
  response.on('data', (part: string) => {
    heard.text += part;
  });
  response.on('close', () => {
    heard.ended = true;
  });
  return heard;
}

const many = (text: string, what: RegExp): number => [...text.matchAll(what)].length;

describe('who watches events', () => {
  test('and does not read is let go when a quarter of a megabyte waits for him, and who reads goes on', async () => {
    const { hub, clock, watch } = await events(100_000);
    const heard = read(await watch());
    const deaf = await watch();
    let gone = false;
    deaf.on('close', () => {
      gone = true;
    });
    assert.equal(hub.watchers, 2);
    let ticks = 0;
    // What the kernel holds for him comes before.
    for (; hub.watchers === 2 && ticks < 500; ticks += 1) {
      await clock.advance(1_000);
      await eventually(() => many(heard.text, /^event: tick$/gmu) === ticks + 2);
    }
    assert.equal(hub.watchers, 1, 'he was let go');
    assert.ok(ticks > 3 && ticks < 500, `after ${ticks} ticks`);
    const before = many(heard.text, /^event: tick$/gmu);
    await clock.advance(1_000);
    await eventually(() => many(heard.text, /^event: tick$/gmu) === before + 1);
    assert.equal(heard.ended, false);
    deaf.resume();
    await eventually(() => gone);
  });

  test('hears of what comes too often by its number', async () => {
    const { hub, clock, watch } = await events();
    const heard = read(await watch());
    for (let i = 0; i < 1_000; i += 1) hub.tell('error', { message: `error ${i}` });
    hub.tell('state', { state: 'suspended', before: 'running' });
    await clock.advance(1_000);
    await eventually(() => heard.text.includes('"more"'));
    assert.equal(many(heard.text, /^event: error$/gmu), 21);
    assert.match(heard.text, /^event: error\ndata: \{"more":980\}$/mu);
    assert.match(heard.text, /"suspended"/u);
    hub.tell('error', { message: 'the next second' });
    await eventually(() => heard.text.includes('the next second'));
    assert.deepEqual(
      [...heard.text.matchAll(/^id: (\d+)$/gmu)].map(([, id]) => Number(id)),
      Array.from({ length: many(heard.text, /^id: /gmu) }, (_, i) => i + 1),
      'nothing is lost on the way',
    );
  });

  test('hears once a second how many were refused, and only when there were', async () => {
    const { clock, refused, watch } = await events();
    const heard = read(await watch());
    await clock.advance(1_000);
    refused.full += 7;
    await clock.advance(1_000);
    await clock.advance(1_000);
    refused.full += 1;
    await clock.advance(1_000);
    await eventually(() => many(heard.text, /^event: tick$/gmu) === 5);
    assert.deepEqual(
      [...heard.text.matchAll(/^event: refused\ndata: (.*)$/gmu)].map(([, text]) => JSON.parse(text!) as unknown),
      [{ full: 7 }, { full: 1 }],
    );
  });

  test('is nobody at first and in the end: then no timer goes and nothing is looked at', async () => {
    const { hub, clock, watch } = await events();
    assert.equal(clock.armed, 0);
    hub.tell('error', { message: 'to nobody' });
    const first = await watch();
    assert.equal(clock.armed, 1);
    first.destroy();
    await eventually(() => hub.watchers === 0);
    assert.equal(clock.armed, 0);
    const heard = read(await watch());
    assert.doesNotMatch(heard.text, /nobody/u);
  });

  test('is told the first line of errors, and no stack', async () => {
    const at = await standOne();
    const watching = await Watching.of(at);
    const client = await at.dial();
    await client.write('fail\n');
    const { message, code, worker } = await watching.until('error');
    assert.deepEqual([message, code, worker], ['asked to fail', null, null]);
  });

  test('is told no secret', async () => {
    const handler = async (conn: Connection): Promise<never> => {
      await conn.readLine();
      throw new Error('no, not with password=hunter2');
    };
    const at = await standOn(await serve(handler, { port: 0, host: '127.0.0.1', transport: nodeTransport }));
    const watching = await Watching.of(at);
    const client = await at.dial();
    await client.write('go\n');
    const { message } = await watching.until('error');
    assert.equal(message, 'no, not with password=***');
  });
});

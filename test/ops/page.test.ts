import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import { startAdmin } from '../../src/ops/admin.ts';
import type { AdminOptions } from '../../src/ops/admin.ts';
import type { HistoryJson } from '../../src/ops/history.ts';
import { statusPage } from '../../src/ops/page.ts';
import { subjectOf } from '../../src/ops/subject.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { serve } from '../../src/server/server.ts';
import { nodeTransport } from '../../src/transport/node/transport.ts';
import { endAll } from '../support/nets.ts';
import { Stand, atEnd, endsItsStands, eventually, say, standOne, standTwo } from './admin-support.ts';
import { expected, says, withBrowser, withoutBrowser } from './browser.ts';

endsItsStands();

const skip = withoutBrowser();
const stand = (options: ServerOptions = {}, admin: Partial<AdminOptions> = {}): ReturnType<typeof standOne> =>
  standOne(options, { page: statusPage, ...admin });

describe('the status page', { skip }, () => {
  const open = withBrowser();

  test('is whole: it asks for nothing but itself and the server, and runs nothing but its own', async () => {
    const at = await stand();
    const { page, state, asked, faults } = await open(at);
    await says(state, 'Running, ready');
    await says(page.locator('h1'), 'echo.ts');
    await says(page.locator('#no-rows'), 'Nobody is connected.');
    assert.deepEqual(
      [...new Set(asked.map((one) => one.replace(/\?.*/u, '')))].sort(),
      ['/', '/api/audit', '/api/connections', '/api/events', '/api/history', '/api/status'].map(
        (path) => `GET ${path}`,
      ),
    );
    const { headers, text } = await at.ask('/');
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'; script-src 'sha256-[^ ]+' 'sha256-[^ ]+'; style-src 'sha256-[^ ]+';/u);
    assert.match(policy, /frame-ancestors 'none'.*trusted-types 'none'/u);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/u);
    assert.deepEqual([headers['x-frame-options'], headers['access-control-allow-origin']], ['DENY', undefined]);
    assert.doesNotMatch(text, /(src|href)="https?:/u);
    // What gets into it all the same is not run, and no text becomes elements.
    const tried = await page.evaluate(`(() => {
      const script = document.createElement('script');
      const ways = [
        () => script.append(document.createTextNode('window.ran = true')),
        () => document.body.append(script),
        () => (document.body.innerHTML = '<b>in</b>'),
      ];
      const refused = ways.map((way) => {
        try {
          way();
          return false;
        } catch {
          return true;
        }
      });
      return [refused[2], 'ran' in window];
    })()`);
    assert.deepEqual(tried, [true, false]);
    expected(faults, /Trusted/u);
  });

  test('moves when load comes: numbers, charts, the table, who is refused and why', async () => {
    const at = await stand({ maxConnections: 3, whenFull: 'refuse' });
    const { page, tile } = await open(at);
    await says(tile('Connections'), /^Connections0of 3/u);
    const canvas = (): Promise<string> =>
      page.evaluate(`document.querySelector('#chart-connections canvas').toDataURL()`);
    const empty = await canvas();
    const clients = [await at.dial(), await at.dial(), await at.dial()];
    for (const client of clients) assert.equal(await say(client, 'hello'), 'hello');
    // One too many; the reset may come before he knows that he was connected.
    await at.dial().then(
      (client) => client.read(),
      () => null,
    );
    await says(tile('Connections'), /^Connections3of 3/u);
    await says(tile('Accepted'), /3 in all/u);
    await says(tile('Refused'), /1 in all/u);
    await says(tile('In'), /18 B in all/u);
    await says(page.locator('#refused'), /full.*1/u);
    await says(page.locator('#rows tr').nth(2), /127\.0\.0\.1:\d+idle/u);
    await says(page.locator('#workers'), /main.*3 connections/u);
    assert.notEqual(await canvas(), empty);
    assert.equal(await page.title(), '3 · echo.ts · running');
    // What is drawn is told in words too.
    await page.getByLabel('5 min').check({ force: true });
    const words = await page.locator('#chart-connections .plot').getAttribute('aria-label');
    assert.match(words ?? '', /^Connections over the last 5 min: open 3, lowest 0, highest 3$/u);
    // Who comes later sees what has been.
    await eventually(async () => (JSON.parse((await at.ask('/api/history')).text) as HistoryJson).active.at(-1) === 3);
    const { page: later } = await open(at);
    assert.match(
      (await later.locator('#chart-connections .plot').getAttribute('aria-label')) ?? '',
      /lowest 0, highest 3$/u,
    );
  });

  test('lists connections as they are asked for, and closes those that are chosen', async () => {
    const at = await stand();
    const clients = [await at.dial(), await at.dial(), await at.dial()];
    for (const [i, client] of clients.entries()) await say(client, 'x'.repeat([10, 3_000, 100][i]!));
    const { page, press, dialog, said, faults } = await open(at);
    const first = page.locator('#rows tr').first();
    await says(page.locator('#matched'), /^3 connections$/u);
    await page.getByRole('button', { name: 'In', exact: true }).click();
    await says(first, '3.00 kB');
    assert.equal(await page.locator('[data-sort=read]').getAttribute('aria-sort'), 'descending');
    await page.getByRole('button', { name: 'In', exact: true }).click();
    await says(first, '11 B');
    await page.getByLabel('Peer').fill('10.0.0.0/99');
    await says(page.locator('#filter-error'), 'peer');
    expected(faults, /400/u);
    await page.getByLabel('Peer').fill('10.0.0.0/8');
    await says(page.locator('#no-rows'), 'No connection is like that.');
    await page.getByLabel('Older than').fill('soon');
    await says(page.locator('#filter-error'), 'Older than: a time');
    await press('Clear');
    await says(page.locator('#matched'), /^3 connections$/u);
    await page.getByLabel('idle', { exact: true }).check({ force: true });
    await page.getByLabel('Peer').fill('loopback');
    await page.getByLabel('Older than').fill('1000');
    await says(page.locator('#close-matching:enabled'), 'Close matching');
    await page.getByRole('checkbox', { name: /Select connection 2/u }).check();
    await press('Close selected (1)…');
    await says(dialog, 'Close 1 connection?');
    await press('Close 1');
    await says(said, '1 connection closed.');
    assert.equal(await clients[1]!.readLine(), null);
    await clients[1]!.close();
    assert.equal(await say(clients[0]!, 'goes on'), 'goes on');
    await says(page.locator('#matched'), /^2 connections$/u);
    await press('Close matching…');
    await says(dialog, 'All that match when it is done: peer loopback, doing idle, older than 1s.');
    await page.getByLabel('By a reset').check();
    await press('Close 2');
    await says(said, '2 connections closed.');
    await says(page.locator('#activity'), /connections\/close by 127\.0\.0\.1:\d+: 2 of 2 ended, by reset/u);
    assert.equal(at.server.status().active, 0);
  });

  test('suspends and resumes, when it is confirmed', async () => {
    const at = await stand();
    const { page, press, dialog, state } = await open(at);
    await press('Suspend…');
    await press('Cancel');
    assert.equal(at.server.state, 'running');
    assert.equal(at.admin.audit.length, 0);
    await press('Suspend…');
    // One question follows the other, before the browser has told of the end of the first.
    await page.evaluate(`document.querySelector('dialog').close(); document.querySelector('#actions button').click()`);
    await press('Suspend');
    await says(state, 'Suspended, not ready');
    assert.equal(at.server.state, 'suspended');
    assert.equal(await dialog.count(), 0);
    await press('Resume…');
    await press('Resume');
    await says(state, 'Running, ready');
  });

  test('changes limits, after they were looked at, and tells which of them the server refused', async () => {
    const at = await stand({ maxConnections: 50 });
    const { page, press, dialog, said, tile, faults } = await open(at);
    const [connections, idle] = [page.locator('#limit-maxConnections'), page.locator('#limit-deadlines-idle')];
    assert.equal(await connections.inputValue(), '50');
    await connections.fill('7');
    await idle.fill('soon');
    await press('Review changes…');
    await says(dialog, /Admission: Connections507.*Deadlines: Idlenonesoon/u);
    await press('Change');
    await says(dialog, /That did not work: deadlines\.idle/u);
    expected(faults, /400/u);
    assert.equal(at.server.limits.maxConnections, 50);
    await press('Cancel');
    assert.equal(await idle.getAttribute('aria-invalid'), 'true');
    assert.equal(await connections.getAttribute('aria-invalid'), 'false');
    await idle.fill('90s');
    await page.locator('#limit-rate').fill('20/1s');
    await press('Review changes…');
    await press('Change');
    await says(said, '3 limits changed.');
    const { maxConnections, deadlines, rate } = at.server.limits;
    assert.deepEqual([maxConnections, deadlines.idle, rate], [7, 90_000, { connections: 20, per: 1_000 }]);
    await says(tile('Connections'), 'of 7');
    // Another page hears of it, and what is being written stays.
    await page.locator('#limit-grace').fill('1m');
    await at.act('limits', { maxConnections: 8 });
    await eventually(async () => (await connections.inputValue()) === '8');
    assert.equal(await page.locator('#limit-grace').inputValue(), '1m');
  });

  test('drains: the ledger is told as it goes, and as it was in the end', async () => {
    const at = await stand();
    const [idle, busy] = [await at.dial(), await at.dial()];
    await say(idle, 'idle');
    await say(busy, 'draining');
    const { page, press, dialog, state } = await open(at);
    await press('Drain…');
    await dialog.getByRole('textbox', { name: 'Grace' }).fill('none');
    await press('Drain');
    assert.equal(await idle.readLine(), null);
    await idle.close();
    await says(state, 'Draining, not ready');
    await says(page.locator('#drain-left'), '1 connection left; no deadline');
    await says(page.locator('#ledger'), /still open1.*closed idle1.*forced0/su);
    assert.equal(await page.locator('#drain-bar').getAttribute('aria-valuetext'), '1 of 2 over');
    assert.ok(await page.getByRole('button', { name: 'Drain…' }).isDisabled());
    await press('Stop…');
    await dialog.getByRole('textbox', { name: 'Grace' }).fill('0');
    await press('Stop');
    await says(state, 'Stopped');
    await says(page.locator('#drain'), /Drained\s*2 connections ended.*still open0.*closed idle1forced1/su);
    assert.ok(await page.getByRole('button', { name: 'Stop…' }).isDisabled());
  });

  test('tells what the server refused to do', async () => {
    const at = await stand();
    const { page, press, dialog, faults } = await open(at);
    await press('Certificates…');
    await press('Reload');
    await says(dialog, /That did not work: .*TLS/iu);
    await page.keyboard.press('Escape');
    await says(page.locator('#activity'), /tls\/reload by .* was refused/u);
    expected(faults, /409/u);
  });

  test('says that the server is gone, and comes back with it', async () => {
    const at = await stand();
    await say(await at.dial(), 'hello');
    const { page, press, state, faults } = await open(at);
    const selected = page.getByRole('checkbox', { name: 'Select connection 1 of' });
    await selected.check();
    await at.admin.close();
    await at.server.stop({ grace: 0 });
    await says(page.getByRole('alert'), /What is shown is what was known last/u);
    await says(state, 'Out of reach');
    assert.match(await page.title(), /^gone/u);
    await press('Suspend…');
    await press('Suspend');
    await says(page.getByRole('dialog'), 'That did not work: the server can’t be reached.');
    await press('Cancel');
    const next = await stand({}, { listen: `:${at.port}` });
    await say(await next.dial(), 'hello');
    // It may have come back by itself meanwhile.
    await page.evaluate(`document.getElementById('retry').click()`);
    await says(state, 'Running, ready');
    await says(page.locator('#activity'), 'The server was started anew');
    await page.locator('#banner').waitFor({ state: 'hidden' });
    // The first of this one is another than the first of that.
    await says(page.locator('#close-selected:disabled'), 'Close selected…');
    assert.equal(await selected.isChecked(), false);
    // A browser says of its own that nobody answered.
    expected(faults, /ERR_/u);
  });

  test('takes a server that lets in and says nothing for gone', async () => {
    const at = await stand();
    const { page, faults } = await open(at);
    await page.route('**/api/events', () => {});
    await page.clock.install();
    const asked = page.waitForRequest('**/api/events');
    await page.reload();
    await asked;
    await page.clock.fastForward(6_000);
    await says(page.getByRole('alert'), 'The server says nothing any more.');
    expected(faults, /ERR_/u);
  });

  test('shows workers, each by how busy it is, and changes how many there are', async () => {
    const at = await standTwo({}, { page: statusPage });
    const client = await at.dial();
    await say(client, 'hello');
    const { page, press, said } = await open(at);
    const bars = page.locator('#workers li');
    await says(bars.nth(0), /^#0/u);
    assert.equal(await bars.count(), 3, 'two, and the main thread');
    await says(page.locator('#rows tr'), /[01]\/1/u);
    await press('Resize…');
    await page.getByRole('spinbutton', { name: 'Workers' }).fill('3');
    await press('Resize');
    await says(said, '3 workers serve.');
    await says(bars.nth(2), /^#2/u);
    await says(page.locator('#activity'), 'Worker #2 started');
    // Who looks at one that goes sees all again.
    await page.getByRole('combobox', { name: 'Worker' }).selectOption('#2');
    await says(page.locator('#matched'), '0 of 1 connection');
    await press('Resize…');
    await page.getByRole('spinbutton', { name: 'Workers' }).fill('2');
    await press('Resize');
    await says(said, '2 workers serve.');
    await says(page.locator('#matched'), /^1 connection$/u);
  });

  test('asks for the token where there is one, shows nothing before, and keeps it for the tab alone', async () => {
    const token = 'a-token-of-some-length';
    const at = await stand({}, { token });
    const { page, main, asked, faults } = await open(at, { locked: true });
    const field = page.getByLabel('Token', { exact: true });
    await field.waitFor();
    assert.ok(await main.isHidden());
    assert.equal(await page.title(), 'Portside');
    const problem = page.locator('#sign-in-error');
    for (const wrong of ['not-the-token-at-all', 'no header has 日本']) {
      await field.fill(wrong);
      await page.keyboard.press('Enter');
      await says(problem, 'That is not the token.');
    }
    await page.reload();
    await field.waitFor();
    await field.fill(token);
    await page.keyboard.press('Enter');
    await main.waitFor();
    await says(page.locator('h1'), 'echo.ts');
    await page.getByRole('button', { name: 'Suspend…' }).click();
    await page.getByRole('button', { name: 'Suspend', exact: true }).click();
    await says(page.locator('#state'), 'Suspended');
    assert.equal(at.admin.audit.at(-1)?.token, true);
    const kept = await page.evaluate<string>(`[JSON.stringify(localStorage), document.cookie, location.href].join()`);
    assert.ok(!kept.includes(token) && !asked.some((one) => one.includes(token)));
    await page.reload();
    await main.waitFor();
    await page.getByRole('button', { name: 'Forget the token' }).click();
    await field.waitFor();
    assert.ok(await main.isHidden());
    expected(faults, /401/u);
  });

  test('takes what strangers are called for text, and nothing else', async () => {
    const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    const server = await serve(
      async (conn) => {
        throw new Error(`${evil} ${String(await conn.readLine())}`);
      },
      { port: 0, host: '127.0.0.1', transport: nodeTransport, proxy: { from: ['loopback'] } },
    );
    atEnd(() => server.stop({ grace: 0 }));
    const admin = await startAdmin(subjectOf(server, { name: evil }), { listen: ':0', page: statusPage });
    atEnd(() => admin.close());
    const at = new Stand(server, admin);
    const { page } = await open(at);
    const [address] = server.addresses;
    assert.ok(address !== undefined && 'port' in address);
    const unix = { family: 'unix', path: evil } as const;
    const client = await connect(address, { transport: nodeTransport, proxy: { source: unix, destination: unix } });
    atEnd(() => endAll(client));
    const cell = page.locator('#rows .c-peer').first();
    await says(cell, evil);
    assert.equal(await cell.textContent(), `unix://${evil}`);
    assert.equal(await page.locator('h1').textContent(), evil);
    await client.write(`${evil}\n`);
    await says(page.locator('#activity'), `A handler failed: ${evil} ${evil}`);
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.ok((await page.title()).includes(evil));
  });
});

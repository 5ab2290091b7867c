/**
 * Takes the pictures of the status page that the guide shows: `node scripts/page-images.ts [seconds] [folder]`. A server over four workers with a
 * load that comes and goes is looked at in a real Chromium after so many seconds (75), in light, dark, and on a phone.
 */
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { startAdmin } from '../src/ops/admin.ts';
import { statusPage } from '../src/ops/page.ts';
import { subjectOf } from '../src/ops/subject.ts';
import { startParallel } from '../src/parallel/start-parallel.ts';
import { fileIn } from './tools.ts';

const [seconds = '75', folder = fileIn('docs', 'images')] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const server = await startParallel(new URL('../examples/echo.ts', import.meta.url), {
  port: 0,
  host: '127.0.0.1',
  parallelism: 4,
  maxConnections: 300,
  maxPerClient: 6,
  deny: ['198.51.100.99'],
  proxy: { from: ['loopback'] },
});
const admin = await startAdmin(subjectOf(server, { name: 'echo.ts' }), { listen: ':0', page: statusPage });
const [at] = server.addresses;
if (at === undefined || !('port' in at) || !('port' in admin.address)) throw new Error('no port');
const { port } = at;
const url = `http://127.0.0.1:${admin.address.port}/`;
console.log(url);

const clients = new Set<Socket>();
const { random, floor } = Math;

/** A client from somewhere, which says something now and then, for so long. */
function client(from: string, life: number): void {
  const socket = connect(port, '127.0.0.1', () => {
    socket.write(`PROXY TCP4 ${from} 192.0.2.7 ${floor(1_024 + random() * 60_000)} 7000\r\n`);
  });
  clients.add(socket);
  const talk = setInterval(() => socket.write('x'.repeat(floor(random() * 4_000))), 150 + random() * 900);
  const end = setTimeout(() => socket.end(), life);
  socket.resume();
  socket.on('error', () => {});
  socket.on('close', () => {
    clearInterval(talk);
    clearTimeout(end);
    clients.delete(socket);
  });
}

const somewhere = (): string => `203.0.113.${1 + floor(random() * 250)}`;
const began = performance.now();
const load = setInterval(() => {
  const time = (performance.now() - began) / 1_000;
  const many = 1.2 + Math.sin(time / 9) + random();
  for (let i = 0; i < many; i += 1) client(somewhere(), 2_000 + random() * 15_000);
  // One who comes too often.
  if (time % 31 < 5) for (let i = 0; i < 4; i += 1) client('198.51.100.23', 900);
  if (time % 7 < 1) client('198.51.100.99', 500);
}, 100);

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  await sleep(Number(seconds) * 1_000);
  const pictures = [
    ['status-page', { width: 1400, height: 1010 }, 'light'],
    ['status-page-dark', { width: 1400, height: 1010 }, 'dark'],
    ['status-page-phone', { width: 390, height: 844 }, 'light'],
  ] as const;
  for (const [name, viewport, colorScheme] of pictures) {
    const page = await browser.newPage({ viewport, colorScheme, reducedMotion: 'reduce' });
    page.on('console', (message) => console.log(message.text()));
    page.on('pageerror', (error) => console.log(error));
    await page.goto(url);
    await page.locator('#rows tr').first().waitFor();
    await page.getByLabel('1 min').check({ force: true });
    await sleep(2_500);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    await page.close();
  }
} finally {
  await browser.close();
  clearInterval(load);
  for (const socket of clients) socket.destroy();
  await admin.close();
  await server.stop({ grace: 0 });
}

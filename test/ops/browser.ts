import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, beforeEach } from 'node:test';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { Stand } from './admin-support.ts';
import { atEnd } from './admin-support.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** Where Chromium is; null where it is not. */
const program =
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path)) ?? null;

/** Why tests with a browser are left out; false where there is one. With PORTSIDE_REQUIRE_OPS=1 its absence is an error. */
export function withoutBrowser(): string | false {
  if (program !== null) return false;
  if (process.env['PORTSIDE_REQUIRE_OPS'] === '1') throw new Error('chromium is not installed');
  return 'chromium is not installed';
}

/** A status page that is open in a browser. */
export interface Opened {
  readonly page: Page;
  /** What was asked for, by method and path. */
  readonly asked: readonly string[];
  /** What went wrong in the page, that is meant to: to be taken away by the test. */
  readonly faults: string[];
  readonly state: Locator;
  readonly main: Locator;
  readonly dialog: Locator;
  readonly said: Locator;
  /** A big number, with what stands below it. */
  readonly tile: (name: string) => Locator;
  /** Presses a button. */
  readonly press: (name: string) => Promise<void>;
}

/** One browser for a file of tests; gives what opens the page of a stand, and holds it to no fault and nothing from elsewhere. */
export function withBrowser(): (
  stand: Stand,
  options?: BrowserContextOptions & { locked?: boolean },
) => Promise<Opened> {
  let browser: Browser;
  before(async () => {
    const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
    if (program !== null) browser = await chromium.launch({ executablePath: program, args });
  });
  after(() => browser?.close());
  const wrong: (readonly string[])[] = [];
  // The first that is to be done in the end is done last: whatever is wrong, nothing is left open.
  beforeEach(() => atEnd(async () => assert.deepEqual(wrong.splice(0).flat(), [])));

  return async (stand, { locked = false, ...options } = {}) => {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    context.setDefaultTimeout(45_000);
    const page = await context.newPage();
    const origin = `http://127.0.0.1:${stand.port}`;
    const [asked, faults, strange]: [string[], string[], string[]] = [[], [], []];
    page.on('console', (message) => faults.push(message.text()));
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('request', (request) => {
      const url = request.url();
      if (url.startsWith(`${origin}/`)) asked.push(`${request.method()} ${url.slice(origin.length)}`);
      else if (!url.startsWith('data:')) strange.push(url);
    });
    atEnd(() => context.close());
    wrong.push(faults, strange);
    await page.goto(`${origin}/`);
    const opened: Opened = {
      page,
      asked,
      faults,
      state: page.locator('#state'),
      main: page.locator('main'),
      dialog: page.getByRole('dialog'),
      said: page.locator('#said'),
      tile: (name) => page.locator('.tile', { has: page.getByText(name, { exact: true }) }),
      press: (name) => page.getByRole('button', { name, exact: true }).click(),
    };
    if (!locked) await opened.main.waitFor();
    return opened;
  };
}

/** Waits until an element says something. */
export async function says(element: Locator, text: string | RegExp): Promise<void> {
  await element.filter({ hasText: text }).first().waitFor();
}

/** Takes those faults away that the browser tells of by itself, and that are meant. */
export function expected(faults: string[], what: RegExp): void {
  assert.deepEqual(
    faults.splice(0).filter((fault) => !what.test(fault)),
    [],
  );
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { statusPage } from '../../src/ops/page.ts';
import { endsItsStands, eventually, say, standOne } from './admin-support.ts';
import { expected, says, withBrowser, withoutBrowser } from './browser.ts';

endsItsStands();

const skip = withoutBrowser();

/** The texts of the page that are harder to read than WCAG 2.2 AA lets them be: 4.5 to 1, large ones 3 to 1. */
const FAINT = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '')) continue;
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(':disabled, noscript, script, style')) continue;
    const grounds = [];
    for (let at = element; at !== null; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    let opacity = 100;
    for (let at = element; at !== null; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const seen = 'color-mix(in srgb, ' + color + ' ' + opacity + '%, transparent)';
    const [ground, text] = [light(over(grounds)), light(over([...grounds, seen]))];
    const ratio = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
    const size = parseFloat(fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 600);
    if (ratio < (large ? 3 : 4.5)) faint.push(element.textContent.trim() + ' ' + ratio.toFixed(2));
  }
  return faint;
})()`;

/** How far the page can be pushed sideways. */
const SIDEWAYS = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';

const focused = (page: Page): Promise<string> =>
  page.evaluate(`(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()`);

async function tabTo(page: Page, name: string): Promise<void> {
  for (let i = 0; i < 60; i += 1) {
    await page.keyboard.press('Tab');
    if ((await focused(page)).startsWith(name)) return;
  }
  assert.fail(`${name} can't be reached`);
}

describe('the status page', { skip }, () => {
  const open = withBrowser();

  test('is light or dark as the system is, or as it was chosen, and legible either way', async () => {
    const at = await standOne({ maxConnections: 1 }, { page: statusPage });
    await say(await at.dial(), 'hello');
    const { page, press, faults } = await open(at, { colorScheme: 'dark' });
    await page.locator('#rows tr').first().waitFor();
    const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const dark = await ground();
    assert.deepEqual(await page.evaluate(FAINT), []);
    await page.getByRole('radio', { name: 'Light' }).check({ force: true });
    const light = await ground();
    assert.notEqual(light, dark);
    assert.deepEqual(await page.evaluate(FAINT), []);
    await press('Drain…');
    assert.deepEqual(await page.evaluate(FAINT), []);
    await page.keyboard.press('Escape');
    await page.reload();
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await ground(), light, 'it is kept');
    await page.getByRole('radio', { name: 'Auto' }).check({ force: true });
    assert.equal(await ground(), dark);
    await page.emulateMedia({ colorScheme: 'light' });
    assert.equal(await ground(), light);
    await press('Suspend…');
    await press('Suspend');
    await says(page.locator('#state'), 'Suspended');
    assert.deepEqual(await page.evaluate(FAINT), []);
    await at.admin.close();
    await says(page.locator('#state'), 'Out of reach');
    assert.deepEqual(await page.evaluate(FAINT), [], 'what was known last too');
    // A browser says of its own that nobody answered.
    expected(faults, /ERR_/u);
  });

  test('fits a phone: nothing goes sideways, and what is tapped is large enough', async () => {
    const at = await standOne({}, { page: statusPage });
    await say(await at.dial(), 'hello');
    for (const width of [320, 360]) {
      const { page, press, dialog } = await open(at, {
        viewport: { width, height: 780 },
        hasTouch: true,
        isMobile: true,
      });
      await page.locator('#rows tr').first().waitFor();
      assert.equal(await page.evaluate(SIDEWAYS), 0);
      const small = await page.evaluate(
        `[...document.querySelectorAll('main button')].filter((one) => one.checkVisibility() && one.closest('thead') === null && one.getBoundingClientRect().height < 40).map((one) => one.textContent)`,
      );
      assert.deepEqual(small, []);
      const cut = await page.evaluate(
        `[...document.querySelectorAll('button')].filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)`,
      );
      assert.deepEqual(cut, []);
      // What only a wide table shows is not to be come to either.
      const reached = await page.evaluate(
        `[...document.querySelectorAll('#columns :is(button, input)')].filter((one) => (one.focus(), one === document.activeElement)).length`,
      );
      assert.equal(reached, 0);
      await press('Drain…');
      const box = await dialog.boundingBox();
      assert.ok(box !== null && box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
      await press('Cancel');
      await page.getByLabel('Sort by').selectOption('newest first');
      await page.getByRole('checkbox', { name: /Select connection 1/u }).tap();
      await says(page.locator('#close-selected:enabled'), 'Close selected (1)…');
    }
  });

  test('needs no mouse', async () => {
    const at = await standOne({}, { page: statusPage });
    const client = await at.dial();
    await say(client, 'hello');
    const { page, state, dialog } = await open(at);
    await page.locator('#rows tr').first().waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await focused(page), 'Skip to the numbers');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.equal(await focused(page), 'Suspend…');
    assert.notEqual(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'none');
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    assert.equal(await focused(page), 'Suspend');
    await page.keyboard.press('Escape');
    assert.equal(await focused(page), 'Suspend…', 'it is where it was before');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await says(state, 'Suspended, not ready');
    // The button is gone: it is with those beside it.
    await eventually(async () => (await focused(page)) === 'Actions');
    await page.keyboard.press('Tab');
    assert.equal(await focused(page), 'Resume…');
    await at.act('resume');
    await eventually(async () => (await focused(page)) === 'Actions');
    await tabTo(page, 'Select connection 1');
    // The rows are told anew every two seconds.
    const asked = page.waitForResponse(/api\/connections/u);
    await page.keyboard.press('Space');
    await asked;
    await eventually(async () => (await focused(page)).startsWith('Select connection 1'));
    await page.keyboard.press('Shift+Tab');
    for (let i = 0; i < 40 && !(await focused(page)).startsWith('Close selected'); i += 1)
      await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    assert.equal(await page.evaluate('document.activeElement.value'), 'close', 'how is asked first');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await assert.rejects(client.readLine());
    await eventually(
      async () =>
        (await page.evaluate(`document.activeElement.getAttribute('aria-labelledby')`)) === 'connections-title',
    );
  });

  test('leaves the focus where it is when rows change their places, and below the top of the page', async () => {
    const at = await standOne({}, { page: statusPage });
    const clients = [await at.dial(), await at.dial(), await at.dial()];
    for (const [i, client] of clients.entries()) await say(client, 'x'.repeat(30 - 10 * i));
    const { page } = await open(at, { viewport: { width: 740, height: 600 } });
    await page.getByRole('button', { name: 'In', exact: true }).click();
    const box = page.getByRole('checkbox', { name: /Select connection 3/u });
    await box.focus();
    await says(page.locator('#rows tr').first(), /^1/u);
    await say(clients[2]!, 'x'.repeat(100));
    await says(page.locator('#rows tr').first(), /^3/u);
    assert.match(await focused(page), /^Select connection 3/u);
    // Nothing that has it lies under what stays at the top.
    for (let i = 0; (await focused(page)) !== 'Skip to the numbers'; i += 1) {
      assert.ok(i < 60);
      await page.keyboard.press('Shift+Tab');
      const [name, seen] = await page.evaluate<[string, boolean]>(`(() => {
        const one = document.activeElement;
        const { left, top, width, height } = one.getBoundingClientRect();
        const there = document.elementFromPoint(left + width / 2, top + height / 2);
        return [one.outerHTML.slice(0, 80), one.contains(there) || there?.closest('label')?.contains(one) === true];
      })()`);
      assert.ok(seen, name);
    }
  });

  test('stands still when it is paused, and goes on from there', async () => {
    const at = await standOne({}, { page: statusPage });
    const { page, press, tile } = await open(at);
    await says(tile('Connections'), /^Connections0/u);
    await press('Pause');
    const client = await at.dial();
    await say(client, 'hello');
    // The title goes on, and two ticks have come.
    await eventually(async () => (await page.title()).startsWith('1'));
    await says(tile('Connections'), /^Connections0/u);
    await press('Pause');
    await says(tile('Connections'), /^Connections1/u);
  });
});

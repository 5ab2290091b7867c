import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadHandler } from '../../src/cli/handler-module.ts';

const folder = mkdtempSync(join(tmpdir(), 'portside-module-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('a TypeScript module whose default export is a handler is loaded as it is', async () => {
  const handler = await loadHandler(
    file('good.ts', 'export default (conn: { close(): unknown }): void => void conn.close();'),
  );
  assert.equal(typeof handler, 'function');
});

test('a missing file, a directory and a module that fails to load are ERR_PORTSIDE_MODULE, with what to do', async () => {
  await assert.rejects(loadHandler(join(folder, 'none.ts')), { code: 'ERR_PORTSIDE_MODULE', message: /no file/iu });
  await assert.rejects(loadHandler(folder), { code: 'ERR_PORTSIDE_MODULE', message: /directory/u });
  await assert.rejects(loadHandler(file('throws.ts', "throw new Error('not today');")), {
    code: 'ERR_PORTSIDE_MODULE',
    message: /not today/u,
  });
  await assert.rejects(loadHandler(file('lacks.ts', "import 'no-such-package-at-all';")), {
    code: 'ERR_PORTSIDE_MODULE',
  });
});

test('a module without a handler is ERR_PORTSIDE_HANDLER, which says what it has', async () => {
  await assert.rejects(loadHandler(file('named.ts', 'export const handler = () => {};')), {
    code: 'ERR_PORTSIDE_HANDLER',
    message: /handler/u,
  });
  await assert.rejects(loadHandler(file('number.ts', 'export default 7;')), { code: 'ERR_PORTSIDE_HANDLER' });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { TestContext } from 'node:test';

/** A new folder, which goes with all that is in it when the test is over; without a test, when the file's tests are. */
export function temporaryFolder(t?: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'portside-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  if (t === undefined) after(remove);
  else t.after(remove);
  return folder;
}

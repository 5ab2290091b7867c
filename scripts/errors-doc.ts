/** Writes docs/reference/errors.md from the table of codes. A house test holds the two together. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { codes } from '../src/base/codes.ts';
import { fileIn } from './tools.ts';

/** The page, relative to the root. */
export const page = 'docs/reference/errors.md';

/** The page as it has to be. */
export function render(table: Readonly<Record<string, string>>): string {
  const parts = [
    '# Error codes',
    '<!-- Written by `npm run docs:errors` from src/base/codes.ts: change the sentences there. -->',
    'What Portside throws, rejects with or gives as the cause of a close has a `code`. Tell errors apart by it, not by class or\n' +
      'message; `isPortsideError` holds across copies of the package. An error of the system keeps the system’s code\n' +
      '(`EADDRINUSE`, `ECONNRESET`, …) and is not listed here.',
  ];
  for (const code of Object.keys(table).sort()) parts.push(`## ${code}`, table[code] ?? '');
  return `${parts.join('\n\n')}\n`;
}

if (import.meta.main) {
  const path = fileIn(page);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, render(codes));
}

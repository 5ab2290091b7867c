import type { TestContext } from 'node:test';
import { startNc } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { folderWith, startCommand } from './command.ts';
import type { Commanded } from './command.ts';

/** A handler that says its thread and the word of its code, answers each line, and does what some of them ask for. */
const SAY = `
import { once } from 'node:events';
import { threadId } from 'node:worker_threads';
import type { Connection } from 'portside';
import { word } from './word.ts';

export default async function say(conn: Connection): Promise<void> {
  conn.busy = true;
  await conn.write(\`thread \${threadId} \${word}\\n\`);
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line === 'throw') setImmediate(() => { throw new Error('asked to throw'); });
    if (line === 'fail') throw new Error('asked to fail');
    if (line === 'exit') process.exit(3);
    if (line === 'hang') for (;;);
    if (line === 'when drained' && !conn.draining.aborted) await once(conn.draining, 'abort');
    await conn.write(\`\${line}!\\n\`);
  }
}
`;

/** The module of {@link sayings} that has the word. */
export const wordIs = (word: string): string => `export const word: string = '${word}';\n`;

/** A folder with `say.ts`, the `word.ts` that it imports, and perhaps more. */
export function sayings(t: TestContext, files: Readonly<Record<string, string>> = {}): (name: string) => string {
  return folderWith(t, { 'say.ts': SAY, 'word.ts': wordIs('one'), ...files });
}

/** `portside serve say.ts` on a free port. */
export async function startSaying(
  t: TestContext,
  ...args: readonly string[]
): Promise<Commanded & { readonly at: (name: string) => string }> {
  const at = sayings(t);
  return { at, ...(await startCommand(t, ['serve', at('say.ts'), '--port', '0', ...args])) };
}

/** Somebody who is connected to {@link startSaying}, on which thread, and what its word is. */
export interface Caller {
  readonly client: Program;
  readonly thread: number;
  readonly word: string;
}

/** Connects, and hears who serves. */
export async function call(t: TestContext, port: number): Promise<Caller> {
  const client = startNc(t, port, '-N');
  const [, thread, word = ''] = await client.until(/^thread (\d+) (\w+)\n/u);
  return { client, thread: Number(thread), word };
}

import type { Connection } from '../../../src/net/connection.ts';
import type { Context } from '../../../src/server/context.ts';

/** A config file that has the handler too, and gives both by a function; each call has another number. */
let calls = 0;

export default async function config(): Promise<object> {
  calls += 1;
  return { handler: tell, context: { word: `config ${calls}` }, port: 'of no interest to a worker' };
}

async function tell(conn: Connection, { context }: Context<{ word: string }>): Promise<void> {
  await conn.write(`${context.word}, ${String((globalThis as { early?: string }).early)}\n`);
}

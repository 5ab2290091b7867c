import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { inCheckout, start, startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';

/** A handler that says who its client is and answers each line; `busy`, `status` and `flood` are done. */
const HANDLER = `
import type { Connection, Context } from 'portside';

export default async function tell(conn: Connection, { server, id }: Context): Promise<void> {
  await conn.opened;
  const { remote } = conn;
  await conn.write(\`#\${id} \${'host' in remote ? remote.host : remote.family}\\n\`);
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line === 'busy') conn.busy = true;
    if (line === 'flood') for (;;) await conn.write(Buffer.alloc(65_536));
    const { ready, active } = server.status();
    const kernel = server.backlogIsKernel;
    await conn.write(line === 'status' ? \`\${JSON.stringify({ ready, active, kernel })}\\n\` : \`\${line}!\\n\`);
  }
}
`;

/** A folder with some files, `tell.ts` among them, which goes when the test is over. */
export function folderWith(t: TestContext, files: Readonly<Record<string, string>> = {}): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'portside-command-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries({ 'tell.ts': HANDLER, ...files })) writeFileSync(join(folder, name), text);
  return (name) => join(folder, name);
}

/** A server of the command, when it is ready. */
export interface Commanded {
  readonly server: Program;
  /** The port of the first address, or 0. */
  readonly port: number;
}

/** Runs `portside …` until it says where it serves. */
export async function startCommand(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Commanded> {
  return ready(startPortside(t, args, env));
}

/** The same in a folder of its own, where a config file may lie. */
export async function startCommandIn(t: TestContext, folder: string, args: readonly string[]): Promise<Commanded> {
  return ready(startPortsideIn(t, folder, args));
}

/** Runs `portside …` in a folder. */
export function startPortsideIn(t: TestContext, folder: string, args: readonly string[]): Program {
  const node = ['--disable-warning=ExperimentalWarning', '--import', inCheckout('scripts/on-source.ts')];
  const words = [process.execPath, ...node, inCheckout('src/cli/bin.ts'), ...args];
  return start(t, 'sh', ['-c', 'cd "$0" && exec "$@"', folder, ...words]);
}

async function ready(server: Program): Promise<Commanded> {
  const [, port = '0'] = await server.until(/^portside: (?:serving|running) .* on (?:[^\n;]*:(\d+))?.*\n/mu);
  return { server, port: Number(port) };
}

/** `portside serve` of a handler that tells who its client is, on a free port. */
export function startTelling(t: TestContext, ...args: readonly string[]): Promise<Commanded> {
  return startCommand(t, ['serve', folderWith(t)('tell.ts'), '--port', '0', ...args]);
}

/** `portside exec` on a free port. */
export function startExec(t: TestContext, ...words: readonly string[]): Promise<Commanded> {
  return startCommand(t, ['exec', '--port', '0', ...words]);
}

/** OpenSSL's client, which shows what comes and says what is wrong. The end of its input is the end of its side. */
export function startTlsClient(t: TestContext, port: number, ...options: readonly string[]): Program {
  const how = ['-connect', `127.0.0.1:${port}`, '-verify_return_error', ...options];
  return start(t, 'openssl', ['s_client', '-quiet', '-no_ign_eof', ...how]);
}

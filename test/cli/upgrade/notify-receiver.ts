import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { start } from '../../support/program.ts';

/** Why tests with these programs are left out; false where they are there. With PORTSIDE_REQUIRE_OPS=1 their absence is an error. */
export function withoutPrograms(...names: readonly string[]): string | false {
  const missing = names.find((name) => spawnSync(name, ['--version']).status !== 0);
  if (missing === undefined) return false;
  if (process.env['PORTSIDE_REQUIRE_OPS'] === '1') throw new Error(`${missing} is not installed`);
  return `${missing} is not installed`;
}

const RECEIVER = `
import socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1].replace('@', '\\0', 1))
print('listening', flush=True)
while True:
    print(receiver.recv(4096).decode().replace('\\n', ' | '), flush=True)
`;

/** Stands for the service manager: what is told it by NOTIFY_SOCKET. */
export interface NotifyReceiver {
  /** As NOTIFY_SOCKET has it: an abstract name begins with `@`. */
  readonly path: string;
  /** Everything so far, a line for each message. */
  readonly told: string;
  until(what: RegExp): Promise<RegExpMatchArray>;
}

export async function startReceiver(t: TestContext, abstract = false): Promise<NotifyReceiver> {
  const folder = mkdtempSync(join(tmpdir(), 'portside-notify-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = abstract ? `@${folder}/notify` : join(folder, 'notify');
  const python = start(t, 'python3', ['-c', RECEIVER, path]);
  await python.until(/^listening$/mu);
  return {
    path,
    get told() {
      return python.out;
    },
    until: (what) => python.until(what),
  };
}

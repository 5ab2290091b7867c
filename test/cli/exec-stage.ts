import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import { execHandler } from '../../src/cli/exec-handler.ts';
import type { ExecHandler, ExecOptions } from '../../src/cli/exec-handler.ts';
import type { ProgramNotice } from '../../src/cli/running-program.ts';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { watchLeaks } from '../support/leaks.ts';
import { endAll } from '../support/nets.ts';

type ServeOptions = Parameters<typeof serve>[1];

/** A directory for the files of the tests. */
export const folder: string = mkdtempSync(join(tmpdir(), 'portside-exec-'));
after(() => rmSync(folder, { recursive: true }));
/** The path of a file in {@link folder}. */
export function file(name: string): string {
  return join(folder, name);
}

/** What ends what a test began. */
const atEnd: (() => Promise<void>)[] = [];
let checkLeaks = watchLeaks();
afterEach(async () => {
  await Promise.all(atEnd.splice(0).map((end) => end()));
  await checkLeaks();
  checkLeaks = watchLeaks();
});

export interface Stage {
  readonly server: Server;
  readonly handler: ExecHandler;
  readonly port: number;
  readonly notices: ProgramNotice[];
  readonly errors: unknown[];
  /** This side of the connections. */
  readonly served: Connection[];
  readonly dial: () => Promise<Connection>;
}

/** Serves a program until the test ends. */
export async function serving(
  words: readonly [string, ...string[]],
  options: ExecOptions = {},
  server: ServeOptions = {},
): Promise<Stage> {
  const [command, ...args] = words;
  const notices: ProgramNotice[] = [];
  const errors: unknown[] = [];
  const handler = execHandler(command, args, { ...options, onNotice: (notice) => notices.push(notice) });
  const served: Connection[] = [];
  const noting = (...given: Parameters<typeof handler>): ReturnType<typeof handler> => {
    served.push(given[0]);
    return handler(...given);
  };
  const running = await serve(noting, {
    port: 0,
    host: '127.0.0.1',
    transport: 'node',
    onError: (error) => errors.push(error),
    ...server,
  });
  atEnd.push(async () => {
    await running.stop({ grace: 0 });
    await handler.idle();
    assert.equal(handler.running, 0);
  });
  const [address] = running.addresses;
  const port = address !== undefined && 'port' in address ? address.port : 0;
  const dial = async (): Promise<Connection> => {
    const client = await connect({ host: '127.0.0.1', port }, { transport: 'node' });
    atEnd.push(() => endAll(client));
    return client;
  };
  return { server: running, handler, port, notices, errors, served, dial };
}

/** A shell that runs a text. Nothing but `exec` in it replaces the shell, whatever its kind. */
export function sh(text: string): [string, string, string] {
  return ['sh', '-c', `${text}\n:`];
}

/** What comes until the end. */
export async function textOf(connection: Connection): Promise<string> {
  let text = '';
  for await (const bytes of connection) text += Buffer.from(bytes).toString();
  return text;
}

/** The next line, which has to be numbers: process ids. */
export async function pids(connection: Connection): Promise<number[]> {
  const line = await connection.readLine();
  assert.match(line ?? '', /^\d+( \d+)*$/u);
  return (line ?? '').split(' ').map(Number);
}

/** Looks every few milliseconds until something is so; the runner's time limit ends it. */
export async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise((resolve) => setTimeout(resolve, 5));
}

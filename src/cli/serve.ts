import type { Command } from 'commander';
import type { Handler } from '../server/handler.ts';
import { attempt } from './attempt.ts';
import { configHandler } from './config-file.ts';
import type { LoadedConfig } from './config-file.ts';
import { addFlags } from './flag.ts';
import { gatherOptions, wrongUsage } from './gather-options.ts';
import { loadHandler } from './handler-module.ts';
import type { CommandIo } from './io.ts';
import { runServer } from './run-server.ts';
import { serverFlags } from './server-flags.ts';

const EXAMPLES = `
Examples:
  portside serve chat.ts --port 7000
  portside serve chat.ts --port 7000 --tls-self-signed
  portside serve echo.ts --endpoint unix:///tmp/echo.sock
  portside serve --config production.ts`;

/** Adds `portside serve`. */
export function serveCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command('serve')
    .description('serve connections by the handler that a module exports as its default')
    .argument(
      '[module]',
      'a JavaScript or TypeScript file; TypeScript runs as it is (default: handler of the config file)',
    )
    .showHelpAfterError('Try portside serve --help.')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined) => {
      exit(await attempt(command, io, () => serve(command, file, io)));
    });
  addFlags(command, serverFlags);
}

async function serve(command: Command, file: string | undefined, io: CommandIo): Promise<void> {
  const gathered = await gatherOptions(command, io);
  const { handler, name } = file === undefined ? await ofConfig(command, gathered.config) : await ofModule(file);
  await runServer({ handler, what: `serving ${name}`, failed: 'the handler failed', gathered, io });
}

/** A handler, and what it is called where it is served. */
interface Named {
  readonly handler: Handler;
  readonly name: string;
}

async function ofModule(file: string): Promise<Named> {
  return { handler: await loadHandler(file), name: file };
}

async function ofConfig(command: Command, config: LoadedConfig | null): Promise<Named> {
  const handler = config === null ? null : await configHandler(config);
  if (config !== null && handler !== null)
    return { handler, name: typeof config.handler === 'string' ? config.handler : config.name };
  const where = config === null ? 'a portside.config.ts' : config.name;
  return wrongUsage(command, `missing required argument 'module'; name it, or say handler: './chat.ts' in ${where}`);
}

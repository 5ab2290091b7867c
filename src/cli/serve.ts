import type { Command } from 'commander';
import type { Handler } from '../server/handler.ts';
import { attempt } from './attempt.ts';
import { configHandler, configModule } from './config-file.ts';
import type { LoadedConfig } from './config-file.ts';
import { addFlags } from './flag.ts';
import { gatherOptions, wrongUsage } from './gather-options.ts';
import { handlerPath, loadHandler } from './handler-module.ts';
import type { CommandIo } from './io.ts';
import { reuseMemory } from './memory.ts';
import { Notices } from './notices.ts';
import { runParallel } from './run-parallel.ts';
import { runServer } from './run-server.ts';
import { serverFlags } from './server-flags.ts';
import { managerOf } from './upgrade/manager.ts';
import type { SupervisedManager } from './upgrade/supervised.ts';
import { upgradable } from './upgrade/upgradable.ts';
import { workerFlags } from './worker-flags.ts';

const EXAMPLES = `
Examples:
  portside serve chat.ts --port 7000
  portside serve chat.ts --port 7000 --tls-self-signed
  portside serve chat.ts --port 7000 --workers cores
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
      exit(
        await upgradable(command, io, (own, supervised) =>
          attempt(command, own, () => serve(command, file, own, supervised)),
        ),
      );
    });
  // Above the options of the command itself.
  addFlags(command, serverFlags.toSpliced(-1, 0, workerFlags));
}

async function serve(
  command: Command,
  file: string | undefined,
  io: CommandIo,
  supervised: SupervisedManager | null,
): Promise<void> {
  const gathered = await gatherOptions(command, io, { parallel: true });
  reuseMemory(gathered.options.transport);
  const manager = await managerOf(gathered, supervised, new Notices(gathered, io).warn);
  const { config, workers } = gathered;
  if (workers === null) {
    const { handler, name } = file === undefined ? await ofConfig(command, config) : await ofModule(file);
    await runServer({ handler, what: `serving ${name}`, failed: 'the handler failed', gathered, manager, io });
    return;
  }
  const path = file === undefined ? configPath(command, config) : handlerPath(file);
  await runParallel({ file: path, what: `serving ${file ?? nameIn(config)}`, gathered, workers, manager, io });
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
  return handler === null ? noModule(command, config) : { handler, name: nameIn(config) };
}

/** The module that workers load, by what a config file says. */
function configPath(command: Command, config: LoadedConfig | null): string {
  return (config === null ? null : configModule(config)) ?? noModule(command, config);
}

/** What the handler of a config file is called. */
function nameIn(config: LoadedConfig | null): string {
  return typeof config?.handler === 'string' ? config.handler : (config?.name ?? '');
}

function noModule(command: Command, config: LoadedConfig | null): never {
  const where = config === null ? 'a portside.config.ts' : config.name;
  return wrongUsage(command, `missing required argument 'module'; name it, or say handler: './chat.ts' in ${where}`);
}

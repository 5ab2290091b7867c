import type { Command } from 'commander';
import { wrongUsage } from '../gather-options.ts';
import type { CommandIo } from '../io.ts';
import { SupervisedManager } from './supervised.ts';

interface UpgradeFlags {
  readonly upgradable?: true;
  readonly upgradeTimeout?: number;
}

/** Does what a command does, in this process, which may have a supervisor, and gives the exit code. */
export type Run = (io: CommandIo, supervised: SupervisedManager | null) => Promise<number>;

/** Runs a command that may have been given `--upgradable`: in the program below the supervisor, in the supervisor, or in a process of its own. Resolves with the exit code. */
export async function upgradable(command: Command, io: CommandIo, run: Run): Promise<number> {
  const { upgradable: wanted = false, upgradeTimeout: timeout } = command.opts<UpgradeFlags>();
  if (!wanted && timeout !== undefined) wrongUsage(command, '--upgrade-timeout needs --upgradable');
  const supervised = SupervisedManager.take(process.env);
  if (supervised === null) {
    if (!wanted) return run(io, null);
    // What can be told from the words alone is supervised before all this is loaded; see bin.ts.
    const { supervise } = await import('./supervisor.ts');
    return supervise(process.argv.slice(2), io);
  }
  // The supervisor tells whoever asked for it why a new version did not start.
  const err = (text: string): void => {
    io.err(text);
    supervised.said(text);
  };
  const code = await run({ ...io, err }, supervised);
  await supervised.close();
  return code;
}

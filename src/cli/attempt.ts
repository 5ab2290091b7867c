import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { explain } from './explain.ts';
import type { CommandIo } from './io.ts';
import { sayFailure } from './log/command-log.ts';

/** Does what a command does, and gives the exit code: 0, or 1 when that failed, which is told. Wrong usage is thrown on. */
export async function attempt(command: Command, io: CommandIo, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) throw error;
    const { verbose } = command.opts<{ verbose?: string | true }>();
    sayFailure(command, error, explain(error, verbose !== undefined), io);
    return 1;
  }
}

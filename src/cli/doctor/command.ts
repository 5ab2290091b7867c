import type { Command } from 'commander';
import type { CommandIo } from '../io.ts';
import { counted } from '../notices.ts';
import { examine } from './examine.ts';
import type { Finding } from './finding.ts';

const EXAMPLES = `
What it tells is read from the system or tried on loopback, as the user that
runs it; a server in another container, or under systemd, may find other things.
The exit code is 1 when something is bad.`;

/** Adds `portside doctor`. */
export function doctorCommand(program: Command, version: string, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command('doctor')
    .description('look at whether servers find here what they need')
    .option('--json', 'one object for programs, instead of lines')
    .showHelpAfterError('Try portside doctor --help.')
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const findings = await examine();
      const bad = findings.some(({ state }) => state === 'bad');
      const json = command.opts<{ json?: true }>().json === true;
      io.out(json ? `${JSON.stringify({ portside: version, ok: !bad, findings }, null, 2)}\n` : describe(findings));
      exit(bad ? 1 : 0);
    });
}

/** Findings in lines, with what to do below each that needs it. */
export function describe(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ id }) => id.length));
  const lines: string[] = [];
  for (const { id, state, found, means, todo } of findings) {
    const indent = ' '.repeat(5 + width + 2);
    lines.push(`${state.padEnd(4)} ${id.padEnd(width)}  ${found}`, `${indent}${means}`);
    if (todo !== null) lines.push(`${indent}to do: ${todo}`);
  }
  const count = (state: Finding['state']): number => findings.filter((finding) => finding.state === state).length;
  lines.push(`${count('ok')} ok, ${counted(count('note'), 'note')}, ${count('bad')} bad`);
  return `${lines.join('\n')}\n`;
}

/** Tables and plots of the results that are kept: `npm run bench -- report`. */
import { writeFileSync } from 'node:fs';
import { comparisons } from '../harness/contenders.ts';
import { idleTable } from '../harness/idle.ts';
import { loadTable, steadiness } from '../harness/load.ts';
import { describeMachine } from '../harness/machine.ts';
import { kept, RESULTS, type Result } from '../harness/results.ts';
import { behind, budgetTable } from './budgets.ts';
import { chartist } from './chart.ts';

/** What runs were made on the same machine and commit, told once. */
function madeOn(results: readonly Result[]): string {
  const lines = results.map(({ machine, suite }) => ({ text: describeMachine(machine), suite: suite.name }));
  const texts = [...new Set(lines.map(({ text }) => text))];
  return texts
    .map((text) => {
      const names = lines.filter((line) => line.text === text).map(({ suite }) => `\`${suite}\``);
      return `- ${names.join(', ')}: ${text}.`;
    })
    .join('\n');
}

/** Whether the times can be believed. */
function trust(results: readonly Result[]): string {
  let [measured, unsteady] = [0, 0];
  for (const one of results) {
    if (one.kind !== 'load') continue;
    const counts = steadiness(one.result);
    measured += counts.measured;
    unsteady += counts.unsteady;
  }
  if (unsteady * 10 <= measured) return '';
  return `**The machine had other work: of ${unsteady} of ${measured} contenders the rounds are more than 1.5 × apart. Times decide nothing here; read the instructions.**\n\n`;
}

function section(result: Result): string {
  const { suite, troubles, contenders } = result;
  const names = contenders.map(({ name }) => name);
  const text =
    result.kind === 'idle' ? idleTable(result.result, names) : loadTable(result.result, names, comparisons[suite.role]);
  const { rounds } = result.result.plan;
  const length = result.kind === 'load' ? ` of ${result.result.plan.seconds} s` : '';
  const missing = Object.entries(troubles).map(([name, why]) => `\n- \`${name}\` was left out: ${why}`);
  return `## ${suite.title}

${suite.about.charAt(0).toUpperCase()}${suite.about.slice(1)}. ${rounds} round${rounds === 1 ? '' : 's'}${length}.

![${suite.title}](${suite.name}.svg)

${text}
${missing.join('')}`;
}

/** Writes everything beside the results, and says what. */
export async function report(): Promise<readonly string[]> {
  const results = kept();
  if (results.length === 0) throw new Error('no results are kept yet: npm run bench -- all --save');
  const draw = await chartist();
  for (const result of results) writeFileSync(`${RESULTS}${result.suite.name}.svg`, await draw(result));
  const late = behind(results);
  const text = `# Results

Made by \`npm run bench -- report\` from the JSON files here, which have every round. How it was measured, and how to read it: [the bench](../README.md).

${madeOn(results)}

${trust(results)}## Budgets

${budgetTable(results)}

${late.length === 0 ? 'On the native core, Portside is ahead of Bun and Deno in every row.' : `Behind Bun or Deno:\n\n${late.map((line) => `- ${line}`).join('\n')}`}

${results.map(section).join('\n\n')}
`;
  writeFileSync(`${RESULTS}README.md`, text.replace(/\n{3,}/gu, '\n\n'));
  return ['README.md', ...results.map(({ suite }) => `${suite.name}.svg`)].map((file) => `bench/results/${file}`);
}

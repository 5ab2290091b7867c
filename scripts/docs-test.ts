/**
 * Holds the documents to the code. Every block marked `ts` in README.md, the other pages at the root and docs/ is
 * type-checked, as a module of its own; those marked `ts run` are run on the sources and have to end by themselves with
 * success. What a block needs and a reader does not can stand before it in a comment: `<!-- before: … -->`.
 */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { entries } from './entries.ts';
import { fileIn, root, run } from './tools.ts';

/** Milliseconds that one block may run. */
const limit = 20_000;

/** One block of code of a document. */
export interface Block {
  /** The document, relative to the root. */
  readonly document: string;
  /** The line of the document, from 1, on which the code begins. */
  readonly line: number;
  readonly language: string;
  readonly run: boolean;
  readonly before: string;
  readonly code: string;
}

/** What is wrong with a document, and where. */
export interface Fault {
  readonly document: string;
  readonly line: number;
  readonly message: string;
}

/** The documents of the repository, relative to the root. */
export function documents(): string[] {
  const top = readdirSync(root).filter((name) => name.endsWith('.md'));
  const below = readdirSync(fileIn('docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`);
  return [...top, ...below].sort();
}

/** The fenced blocks of a document. Those that pass for TypeScript and would not be checked are faults. */
export function extract(document: string, text: string): { blocks: Block[]; faults: Fault[] } {
  const blocks: Block[] = [];
  const faults: Fault[] = [];
  const lines = text.split(/\r?\n/);
  let before = '';
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (/^\s*<!-- before:/.test(line)) {
      const end = lines.findIndex((each, index) => index >= at && each.includes('-->'));
      if (end === -1) {
        faults.push({ document, line: at + 1, message: 'the comment is not ended' });
        break;
      }
      before = lines
        .slice(at, end + 1)
        .join('\n')
        .replace(/^\s*<!-- before:/, '')
        .replace(/-->.*$/, '');
      at = end;
      continue;
    }
    const fence = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/.exec(line);
    if (!fence) {
      if (line.trim() !== '') before = '';
      continue;
    }
    const [, indent = '', marks = '', info = ''] = fence;
    const end = lines.findIndex(
      (each, index) => index > at && each.trim().startsWith(marks) && /^[`~]+$/.test(each.trim()),
    );
    if (end === -1) {
      faults.push({ document, line: at + 1, message: 'the block is not ended' });
      break;
    }
    const [language = '', ...flags] = info.split(/\s+/);
    const known = language === 'ts' && (flags.length === 0 || (flags.length === 1 && flags[0] === 'run'));
    if (known) {
      const code = lines.slice(at + 1, end).map((each) => (each.startsWith(indent) ? each.slice(indent.length) : each));
      blocks.push({ document, line: at + 2, language, run: flags.length === 1, before, code: code.join('\n') });
    } else if (/^(ts|tsx|typescript|js|jsx|javascript|mjs|mts|cts)$/i.test(language)) {
      faults.push({
        document,
        line: at + 1,
        message: `a block of code is marked \`ts\` or \`ts run\`, not \`${info}\``,
      });
    }
    before = '';
    at = end;
  }
  return { blocks, faults };
}

/** The module that stands for a block. The code is on the same lines as in its document. */
export function moduleOf(block: Block): string {
  const before = block.before.replaceAll(/\s*\n\s*/g, ' ').trim();
  return `${'\n'.repeat(block.line - 2)}${before}\n${block.code}\nexport {};\n`;
}

/** Checks some blocks, in a folder below build/ that is there for as long as it takes. */
export async function checkBlocks(blocks: readonly Block[]): Promise<Fault[]> {
  mkdirSync(fileIn('build'), { recursive: true });
  const home = mkdtempSync(fileIn('build', 'docs-'));
  try {
    return await checkIn(home, blocks);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function checkIn(home: string, blocks: readonly Block[]): Promise<Fault[]> {
  const names = new Map<string, Block>();
  for (const block of blocks) {
    const name = `${block.document.replaceAll('/', '__').replace(/\.md$/, '')}-${block.line}.ts`;
    names.set(name, block);
    writeFileSync(join(home, name), moduleOf(block));
  }
  const paths = [...entries()].map(([name, source]) => [name, [`./${relative(home, source).replaceAll('\\', '/')}`]]);
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: {
      noUnusedLocals: false,
      noUnusedParameters: false,
      isolatedDeclarations: false,
      declaration: false,
      rootDir: '../..',
      paths: Object.fromEntries(paths) as Record<string, string[]>,
    },
    include: ['*.ts'],
  };
  writeFileSync(join(home, 'tsconfig.json'), JSON.stringify(config, null, 2));
  if (blocks.length === 0) return [];
  const typed = await run('tsc', ['-p', home, '--pretty', 'false'], { cwd: home });
  const faults: Fault[] = typed.ok ? [] : typeFaults(typed.output, names);
  for (const [name, block] of names) {
    if (!block.run) continue;
    const args = ['--import', pathToFileURL(fileIn('scripts', 'on-source.ts')).href, join(home, name)];
    const { ok, output } = await run(process.execPath, args, { limit, cwd: home });
    if (!ok)
      faults.push({ document: block.document, line: block.line, message: `running it failed\n${output.trimEnd()}` });
  }
  return faults;
}

/** Every fault of every document; empty when all is well. */
export async function checkDocuments(): Promise<{ faults: Fault[]; blocks: Block[] }> {
  const all = documents().map((document) => extract(document, readFileSync(fileIn(document), 'utf8')));
  const blocks = all.flatMap((each) => each.blocks);
  return { blocks, faults: [...all.flatMap((each) => each.faults), ...(await checkBlocks(blocks))] };
}

function typeFaults(output: string, names: ReadonlyMap<string, Block>): Fault[] {
  const faults: Fault[] = [];
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  for (const line of lines) {
    const [, name = '', at = '0', message = ''] = /^(\S+?)\((\d+),\d+\): (.*)$/.exec(line) ?? [];
    const block = names.get(name);
    const last = faults.at(-1);
    if (block) faults.push({ document: block.document, line: Number(at), message });
    else if (line.startsWith(' ') && last) faults[faults.length - 1] = { ...last, message: `${last.message}\n${line}` };
    else faults.push({ document: 'the sources', line: 0, message: line });
  }
  return faults.length > 0 ? faults : [{ document: 'tsc', line: 0, message: output }];
}

if (import.meta.main) {
  const { faults, blocks } = await checkDocuments();
  for (const { document, line, message } of faults) console.error(`${document}:${line}: ${message}`);
  const runs = blocks.filter((block) => block.run).length;
  console.log(`${blocks.length} blocks type-checked, ${runs} of them run, ${faults.length} faults`);
  if (faults.length > 0) process.exitCode = 1;
}

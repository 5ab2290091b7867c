/**
 * Holds the public names: writes etc/*.api.md, one report for each entry of the package, from dist/. With `--check`
 * it writes nothing and fails where a report differs.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import type { ExtractorMessage, IConfigFile } from '@microsoft/api-extractor';
import { fileIn, manifest, run } from './tools.ts';

const check = process.argv.includes('--check');
const template = ExtractorConfig.loadFile(fileIn('api-extractor.json'));
const { name, exports } = manifest();
mkdirSync(fileIn('build', 'api'), { recursive: true });
mkdirSync(fileIn('etc'), { recursive: true });

/** The report of the first entry, once it is there. */
let first = '';
for (const [entry, target] of Object.entries(exports)) {
  if (typeof target !== 'string')
    await report(entry === '.' ? name : `${name}${entry.slice(1).replaceAll('/', '-')}`, target.types);
  first ||= readFileSync(fileIn('etc', `${name}.api.md`), 'utf8');
}

async function report(title: string, types: string): Promise<void> {
  const file = `${title}.api.md`;
  const path = fileIn('etc', file);
  const problems: string[] = [];
  // What is waived has been counted as an error by then.
  let waived = false;
  const { succeeded, apiReportChanged } = Extractor.invoke(configFor(file, types), {
    localBuild: !check,
    messageCallback: (message: ExtractorMessage) => {
      message.handled = true;
      // Whether the report changed is said below, with the difference.
      if (message.messageId.startsWith('console-')) return;
      if (message.messageId === 'ae-forgotten-export' && isElsewhere(message.text)) {
        waived = true;
        return;
      }
      if (message.logLevel === 'error' || message.logLevel === 'warning') {
        problems.push(message.formatMessageWithLocation(fileIn()));
      }
    },
  });
  const stale = apiReportChanged && check;
  if ((succeeded || waived) && !stale && problems.length === 0) return;
  process.exitCode = 1;
  for (const problem of problems) console.error(problem);
  if (!stale) return;
  console.error(`etc/${file} is stale: run npm run api, and review what changed`);
  if (!existsSync(path) || readFileSync(path, 'utf8') === '') return;
  const { output } = await run('diff', ['-u', path, fileIn('build', 'api', file)]);
  console.error(output);
}

/** Whether the symbol that is missing in an entry is had from the first one, as its users know. */
function isElsewhere(text: string): boolean {
  const [, symbol = ''] = /The symbol "(\w+?)(?:_\d+)?"/u.exec(text) ?? [];
  return first !== '' && new RegExp(`^export (?:\\w+ )*${symbol}\\b`, 'mu').test(first);
}

function configFor(reportFileName: string, types: string): ExtractorConfig {
  const file = structuredClone(template) as IConfigFile & { compiler: { overrideTsconfig: { files: string[] } } };
  const entry = fileIn(types);
  file.mainEntryPointFilePath = entry;
  file.compiler.overrideTsconfig.files = [entry];
  if (file.apiReport) file.apiReport.reportFileName = reportFileName;
  return ExtractorConfig.prepare({
    configObject: file,
    configObjectFullPath: fileIn('api-extractor.json'),
    packageJsonFullPath: fileIn('package.json'),
  });
}

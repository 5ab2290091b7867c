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

for (const [entry, target] of Object.entries(exports)) {
  if (typeof target !== 'string')
    await report(entry === '.' ? name : `${name}${entry.slice(1).replaceAll('/', '-')}`, target.types);
}

async function report(title: string, types: string): Promise<void> {
  const file = `${title}.api.md`;
  const path = fileIn('etc', file);
  const problems: string[] = [];
  const { succeeded, apiReportChanged } = Extractor.invoke(configFor(file, types), {
    localBuild: !check,
    messageCallback: (message: ExtractorMessage) => {
      message.handled = true;
      // Whether the report changed is said below, with the difference.
      if (message.messageId.startsWith('console-')) return;
      if (message.logLevel === 'error' || message.logLevel === 'warning') {
        problems.push(message.formatMessageWithLocation(fileIn()));
      }
    },
  });
  const stale = apiReportChanged && check;
  if (succeeded && !stale && problems.length === 0) return;
  process.exitCode = 1;
  for (const problem of problems) console.error(problem);
  if (!stale) return;
  console.error(`etc/${file} is stale: run npm run api, and review what changed`);
  if (!existsSync(path) || readFileSync(path, 'utf8') === '') return;
  const { output } = await run('diff', ['-u', path, fileIn('build', 'api', file)]);
  console.error(output);
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

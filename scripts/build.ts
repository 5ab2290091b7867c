/** Builds dist/ from src/. What has no source any more is removed afterwards, so that a running command is not torn away. */
import { chmodSync, copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileIn, manifest, run } from './tools.ts';

// The status page is for browsers, and has a project of its own.
for (const project of ['tsconfig.build.json', 'src/ops/page']) {
  const { ok, output } = await run('tsc', ['-p', fileIn(project), '--noEmitOnError']);
  if (ok) continue;
  console.error(output);
  process.exit(1);
}
for (const name of readdirSync(fileIn('src/ops/page')))
  if (/\.(css|html)$/.test(name)) copyFileSync(fileIn('src/ops/page', name), fileIn('dist/ops/page', name));
prune(fileIn('dist'));
for (const bin of Object.values(manifest().bin)) chmodSync(fileIn(bin), 0o755);

function prune(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const source = fileIn('src', relative(fileIn('dist'), path).replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts'));
    if (!existsSync(source)) rmSync(path, { recursive: true });
    else if (entry.isDirectory()) prune(path);
  }
}

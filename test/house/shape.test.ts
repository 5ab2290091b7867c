import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { filesBelow, lineOf, parse, root, sources } from './source.ts';
import type { Source } from './source.ts';

const longest = 450;

function lines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

function defaultExports(source: Source): string[] {
  return source.nodes
    .filter(
      (node) =>
        node.type === 'ExportDefaultDeclaration' ||
        (node.type === 'ExportSpecifier' && node.exported.type === 'Identifier' && node.exported.name === 'default'),
    )
    .map((node) => `${source.path}:${lineOf(source, node)}`);
}

/** Declarations by `using`, which Node 22 cannot parse. */
function usings(source: Source): string[] {
  return source.nodes
    .filter((node) => node.type === 'VariableDeclaration' && node.kind.endsWith('using'))
    .map((node) => `${source.path}:${lineOf(source, node)}`);
}

describe('the shape of the sources', () => {
  const all = sources('src');

  test(`no file has more than ${longest} lines`, () => {
    const long = [...all, ...sources('test')]
      .filter(({ text }) => lines(text) > longest)
      .map(({ path, text }) => `${path} has ${lines(text)}`);
    assert.deepEqual(long, []);
  });

  test('nothing is exported as default', () => {
    assert.deepEqual(all.flatMap(defaultExports), []);
  });

  test('nothing that Node 22 runs declares with `using`', () => {
    assert.deepEqual([...all, ...sources('test'), ...sources('examples')].flatMap(usings), []);
  });

  test('no file names a folder of somebody’s machine', () => {
    const files = ['src', 'test', 'examples', 'scripts', 'docs', 'native', 'bench'].flatMap((folder) =>
      filesBelow(folder, '.ts', '.md', '.c', '.h', '.json'),
    );
    const named = files.filter((path) => {
      const text = readFileSync(root + path, 'utf8');
      return text.includes(root) || /\/(home|Users)\/\w/.test(text);
    });
    assert.deepEqual(named, []);
  });

  test('the rules see what they forbid', () => {
    for (const text of [
      'export default 1;',
      'const a = 1; export { a as default };',
      `export { default } from './a.ts';`,
    ]) {
      assert.equal(defaultExports(parse('a.ts', text)).length, 1, text);
    }
    assert.deepEqual(defaultExports(parse('a.ts', `export { default as a } from './a.ts';`)), []);
    assert.equal(usings(parse('a.ts', 'using a = b; await using c = d;')).length, 2);
    assert.deepEqual([lines(''), lines('a'), lines('a\n'), lines('a\nb')], [1, 1, 1, 2]);
  });
});

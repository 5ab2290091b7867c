import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { lineOf, parse, references, sources } from './source.ts';

describe('the reader of the house tests', () => {
  const forms = [
    `import './m.ts';`,
    `import * as m from './m.ts';`,
    `import { a } from './m.ts';`,
    `import type { A } from './m.ts';`,
    `import { type A } from './m.ts';`,
    `export * from './m.ts';`,
    `export * as m from './m.ts';`,
    `export { a } from './m.ts';`,
    `export type { A } from './m.ts';`,
    `export type A = import('./m.ts').A;`,
    `export type A = typeof import('./m.ts');`,
    `await import('./m.ts');`,
    `const f = async (): Promise<void> => { for (;;) await import(/* why */ './m.ts'); };`,
    `import m = require('./m.ts');`,
    `require('./m.ts');`,
    `module.require('./m.ts');`,
    `require.resolve('./m.ts');`,
    `import.meta.resolve('./m.ts');`,
    `process.getBuiltinModule('./m.ts');`,
    `import {\n  a,\n  b,\n} from './m.ts';`,
  ];
  for (const form of forms) {
    test(`sees ${JSON.stringify(form)}`, () => {
      const found = references(parse('form.ts', `\n${form}`));
      assert.deepEqual(found, [{ path: 'form.ts', line: 2, specifier: './m.ts' }]);
    });
  }

  test('says so when the name of a module is computed', () => {
    const [found] = references(parse('form.ts', 'const name = "a"; await import(name);'));
    assert.equal(found?.specifier, null);
  });

  test('is not fooled by comments and strings', () => {
    const text = `// import './m.ts'\n/* export * from './m.ts' */ const s = "import './m.ts'"; const t = \`\${s} require('./m.ts')\`; path.resolve('./m.ts');`;
    assert.deepEqual(references(parse('form.ts', text)), []);
  });

  test('gives the line of a node', () => {
    const source = parse('form.ts', 'const a = 1;\n\nconst b = 2;\n');
    const lines = source.nodes
      .filter((node) => node.type === 'VariableDeclaration')
      .map((node) => lineOf(source, node));
    assert.deepEqual(lines, [1, 3]);
  });

  test('refuses what does not parse', () => {
    assert.throws(() => parse('form.ts', 'const = ;'), /form\.ts/);
  });

  test('finds the sources', () => {
    const paths = sources('src').map((source) => source.path);
    assert.ok(paths.includes('src/base/errors.ts'));
    assert.ok(paths.includes('src/transport/contract.ts'));
  });
});

import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { checkBlocks, checkDocuments, extract, moduleOf } from '../../scripts/docs-test.ts';
import { page, render } from '../../scripts/errors-doc.ts';
import { codes } from '../../src/base/codes.ts';
import { root, sources } from './source.ts';

const at = ({ document, line, message }: { document: string; line: number; message: string }): string =>
  `${document}:${line}: ${message}`;

describe('the documents', () => {
  test('every block of code type-checks, and those marked as runnable run', async () => {
    const { faults, blocks } = await checkDocuments();
    assert.deepEqual(faults.map(at), []);
    assert.ok(
      blocks.some((block) => block.document === 'README.md'),
      'the README shows code',
    );
    assert.ok(
      blocks.some((block) => block.run),
      'some code is run',
    );
  });

  test('the page of error codes is what the table says', () => {
    assert.equal(readFileSync(root + page, 'utf8'), render(codes), 'run npm run docs:errors');
  });

  test('each code is raised somewhere, and expected by a test', () => {
    const used = sources('src').filter((source) => source.path !== 'src/base/codes.ts');
    const tests = sources('test').filter((source) => !source.path.startsWith('test/house/'));
    const unused = Object.keys(codes).filter((code) => !used.some((source) => source.text.includes(code)));
    const untested = Object.keys(codes).filter((code) => !tests.some((source) => source.text.includes(code)));
    assert.deepEqual({ unused, untested }, { unused: [], untested: [] });
  });
});

describe('the reader of the documents', () => {
  test('finds blocks with their lines, their flags and what stands before them', () => {
    const text = [
      '# A',
      '',
      '<!-- before: const a = 1;',
      'const b = 2; -->',
      '',
      '```ts',
      'a + b;',
      '```',
      '',
      '- x',
      '',
      '  ```ts run',
      '  c();',
      '  ```',
    ];
    const { blocks, faults } = extract('a.md', [...text, '```sh', 'npm ci', '```'].join('\n'));
    assert.deepEqual(faults, []);
    assert.deepEqual(
      blocks.map(({ line, run, before, code }) => ({ line, run, before: before.trim(), code })),
      [
        { line: 7, run: false, before: 'const a = 1;\nconst b = 2;', code: 'a + b;' },
        { line: 13, run: true, before: '', code: 'c();' },
      ],
    );
  });

  test('lets no code pass unchecked', () => {
    for (const info of ['ts ignore', 'typescript', 'js', 'TS', 'ts run ignore', 'tsx', 'mts']) {
      assert.equal(extract('a.md', `\`\`\`${info}\nx\n\`\`\``).faults.length, 1, info);
    }
    assert.equal(extract('a.md', '```ts\nx').faults.length, 1, 'a block without an end');
  });

  test('keeps code on the lines of its document', () => {
    const [block] = extract('a.md', 'one\ntwo\n<!-- before: let x = 0; -->\n```ts\nx = 1;\n```').blocks;
    assert.ok(block);
    assert.equal(moduleOf(block).split('\n')[4], 'x = 1;');
    assert.equal(moduleOf(block).split('\n')[3], 'let x = 0;');
  });

  test('reports a wrong type, a wrong import and a failing run with file and line', async () => {
    const text = [
      '```ts',
      `import { PortsideError } from 'portside';`,
      'const code: number = new PortsideError("EX", "x").code;',
      '```',
      '```ts',
      `import { noSuchThing } from 'portside';`,
      '```',
      '```ts run',
      `import { PortsideError } from 'portside';`,
      `throw new PortsideError('ERR_PORTSIDE_CLOSED', 'thrown by the block');`,
      '```',
      '```ts run',
      `import { isPortsideError } from 'portside';`,
      `if (isPortsideError(1)) throw new Error('no');`,
      '```',
    ];
    const faults = await checkBlocks(extract('a.md', text.join('\n')).blocks);
    assert.deepEqual(
      faults.map((fault) => `${fault.document}:${fault.line}`),
      ['a.md:3', 'a.md:6', 'a.md:9'],
    );
    assert.match(faults[2]?.message ?? '', /thrown by the block/);
  });
});

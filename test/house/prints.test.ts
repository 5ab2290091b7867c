import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { lineOf, parse, sources } from './source.ts';
import type { Source } from './source.ts';

const streams = ['stdout', 'stderr'];

/** Where `print()` goes when its caller serves no connection: what is written is the user's own. */
const ambient = { path: 'src/server/standard-streams.ts', allowed: 'process.stdout' };

function isAllowed(fault: string): boolean {
  return fault.startsWith(`${ambient.path}:`) && fault.endsWith(` ${ambient.allowed}`);
}

/** Where a file prints, or takes hold of what it could print with. */
function faults(source: Source): string[] {
  const found: string[] = [];
  for (const node of source.nodes) {
    const at = `${source.path}:${lineOf(source, node)}`;
    if (node.type === 'MemberExpression' && node.object.type === 'Identifier') {
      const name = node.property.type === 'Identifier' ? node.property.name : '';
      const member = node.property.type === 'Literal' ? String(node.property.value) : name;
      if (node.object.name === 'console') found.push(`${at} console.${member}`);
      if (node.object.name === 'process' && [...streams, '_rawDebug', 'emitWarning'].includes(member)) {
        found.push(`${at} process.${member}`);
      }
    }
    if (node.type === 'ImportDeclaration' && /^(node:)?(console|process)$/.test(node.source.value)) {
      found.push(`${at} imports ${node.source.value}`);
    }
    if (node.type === 'ObjectPattern') {
      const names = node.properties.map((each) =>
        each.type === 'Property' && each.key.type === 'Identifier' ? each.key.name : '',
      );
      if (names.some((name) => streams.includes(name))) found.push(`${at} takes ${names.join(', ')} out of an object`);
    }
  }
  return found;
}

describe('printing', () => {
  test('only the command and ops/ print', () => {
    const others = sources('src').filter((source) => !/^src\/(cli|ops)\//.test(source.path));
    assert.ok(others.length > 0);
    const found = others.flatMap(faults);
    assert.deepEqual(
      found.filter((fault) => !isAllowed(fault)),
      [],
    );
    assert.equal(found.filter(isAllowed).length, 1, 'the exception is needed, in one place');
  });

  test('the rule sees every way to print', () => {
    const ways = [
      `console.log('x');`,
      `console['error']('x');`,
      `process.stdout.write('x');`,
      `process['stderr'].write('x');`,
      `const { stdout } = process;`,
      `import { stderr } from 'node:process';`,
      `import console from 'node:console';`,
      `process.emitWarning('x');`,
      `process._rawDebug('x');`,
    ];
    for (const way of ways) assert.notDeepEqual(faults(parse('way.ts', way)), [], way);
    assert.deepEqual(
      faults(parse('way.ts', `// console.log\nconst s = 'process.stdout'; process.nextTick(() => s);`)),
      [],
    );
  });
});

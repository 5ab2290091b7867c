import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { lineOf, parse, references, sources } from './source.ts';
import type { Source } from './source.ts';

const socketModules = /^(node:)?(net|tls|dgram|_tls_wrap|_tls_common|http|https|http2|cluster)$/;

/** HTTP is spoken by the admin endpoint, and by the commands that ask it. */
function speaksHttp(path: string, specifier: string): boolean {
  return /^src\/(ops|cli\/admin)\//.test(path) && specifier === 'node:http';
}

/** What reaches for a socket or the addon, one line for each. */
function faults(source: Source): string[] {
  const found = references(source)
    .map(({ line, specifier }) => ({ line, specifier: specifier ?? '' }))
    .filter(({ specifier }) => socketModules.test(specifier) || specifier.endsWith('.node'))
    .filter(({ specifier }) => !speaksHttp(source.path, specifier))
    .map(({ line, specifier }) => `${source.path}:${line} imports ${specifier}`);
  for (const node of source.nodes) {
    const at = `${source.path}:${lineOf(source, node)}`;
    if (node.type === 'Literal' && typeof node.value === 'string' && node.value.endsWith('.node')) {
      found.push(`${at} names an addon`);
    }
    if (node.type !== 'MemberExpression' || node.property.type !== 'Identifier') continue;
    if (['dlopen', 'binding', '_linkedBinding'].includes(node.property.name)) found.push(`${at} loads an addon`);
  }
  return [...new Set(found)];
}

describe('sockets', () => {
  test('only src/transport/ imports socket modules or the addon', () => {
    const others = sources('src').filter((source) => !source.path.startsWith('src/transport/'));
    assert.ok(others.length > 0);
    assert.deepEqual(others.flatMap(faults), []);
  });

  test('a room that loads modules by a computed name is the command', () => {
    const found = sources('src')
      .filter((source) => !/^src\/(cli|parallel|transport)\//.test(source.path))
      .flatMap(references)
      .filter(({ specifier }) => specifier === null)
      .map(({ path, line }) => `${path}:${line}`);
    assert.deepEqual(found, []);
  });

  test('the rule sees every way in', () => {
    const ways = [
      `import { createServer } from 'node:net';`,
      `import type { Socket } from 'net';`,
      `await import('node:tls');`,
      `export * from 'node:dgram';`,
      `process.getBuiltinModule('node:net');`,
      `const addon = new URL('../../build/portside.node', import.meta.url);`,
      `process.dlopen(module, file);`,
    ];
    for (const way of ways) assert.notDeepEqual(faults(parse('way.ts', way)), [], way);
    assert.deepEqual(faults(parse('way.ts', `import { listen } from '../net/listen.ts';`)), []);
    const http = `import { createServer } from 'node:http';`;
    assert.deepEqual(faults(parse('src/ops/admin.ts', http)), []);
    assert.notDeepEqual(faults(parse('src/server/server.ts', http)), []);
    assert.notDeepEqual(faults(parse('src/ops/admin.ts', `import { Socket } from 'node:net';`)), []);
  });
});

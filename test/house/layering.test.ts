import { posix } from 'node:path';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { references, sources } from './source.ts';
import type { Source } from './source.ts';

/** The rooms of src/ from the ground up: each may import those before it. */
const rooms = ['base', 'sync', 'codec', 'transport', 'net', 'server', 'parallel', 'dataspace', 'ops', 'cli'];

/** What lies below a room and is forbidden to it all the same. */
const strangers: Readonly<Record<string, readonly string[]>> = { dataspace: ['server', 'parallel'] };

/** The room that a file is in; the entries, at the top of src/, are in none. */
function roomOf(path: string): string | null {
  const [, room, rest] = path.split('/');
  return room !== undefined && rest !== undefined ? room : null;
}

function mayImport(from: string | null, to: string | null): boolean {
  if (from === null) return to !== 'cli';
  if (to === null) return from === 'cli';
  if (from === to) return true;
  return rooms.indexOf(to) < rooms.indexOf(from) && !(strangers[from] ?? []).includes(to);
}

/** What breaks the rule in a file, one line for each. */
function faults(source: Source): string[] {
  const found: string[] = [];
  for (const { specifier, line } of references(source)) {
    if (!specifier?.startsWith('.')) continue;
    const target = posix.join(posix.dirname(source.path), specifier);
    const at = `${source.path}:${line}`;
    if (!target.startsWith('src/')) found.push(`${at} imports ${target}, which is outside src/`);
    else if (!mayImport(roomOf(source.path), roomOf(target))) found.push(`${at} may not import ${target}`);
  }
  return found;
}

describe('the layering', () => {
  const all = sources('src');

  test('every folder of src/ is a known room', () => {
    const unknown = all.map((source) => roomOf(source.path)).filter((room) => room !== null && !rooms.includes(room));
    assert.deepEqual([...new Set(unknown)], []);
  });

  test('a room imports only those below it', () => {
    assert.deepEqual(all.flatMap(faults), []);
  });

  test('the rule itself refuses what the design refuses', () => {
    const allowed: [string, string][] = [
      ['net', 'transport'],
      ['net', 'net'],
      ['server', 'base'],
      ['dataspace', 'net'],
      ['ops', 'server'],
      ['cli', 'parallel'],
    ];
    const refused: [string, string][] = [
      ['base', 'sync'],
      ['transport', 'net'],
      ['dataspace', 'server'],
      ['dataspace', 'parallel'],
      ['server', 'ops'],
      ['parallel', 'ops'],
      ['server', 'cli'],
    ];
    for (const [from, to] of allowed) assert.ok(mayImport(from, to), `${from} → ${to}`);
    for (const [from, to] of refused) assert.ok(!mayImport(from, to), `${from} → ${to}`);
    assert.ok(mayImport(null, 'dataspace') && !mayImport(null, 'cli'), 'entries');
    assert.ok(!mayImport('net', null) && mayImport('cli', null), 'only the command imports the entries');
  });

  /** What the command needs, and the library does without. */
  const PACKAGES: ReadonlyMap<string, readonly string[]> = new Map([
    ['cli', ['commander', 'selfsigned', 'pino', 'pino-pretty']],
    ['ops', ['pino', 'prom-client', 'uplot', '@opentelemetry/api']],
  ]);

  test('packages are imported by the command and ops/ alone, each by the room that it is for', () => {
    const found = all.flatMap((source) =>
      references(source)
        .filter(({ specifier }) => !/^(\.|node:)/.test(specifier ?? '.'))
        .filter(({ specifier }) => PACKAGES.get(roomOf(source.path) ?? '')?.includes(specifier ?? '') !== true)
        .map(({ line, specifier }) => `${source.path}:${line} imports ${specifier ?? ''}`),
    );
    assert.deepEqual(found, []);
  });
});

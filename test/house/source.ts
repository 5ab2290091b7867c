import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync, visitorKeys } from 'oxc-parser';
import type { Node } from 'oxc-parser';

/** The root of the repository, with a slash at its end. */
export const root: string = fileURLToPath(new URL('../../', import.meta.url));

/** One file that is read for its shape. Paths are relative to the root, with forward slashes. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly nodes: readonly Node[];
}

/** One place where a file names another module. */
export interface Reference {
  readonly path: string;
  readonly line: number;
  /** The module as it is written; null where it is not a plain string. */
  readonly specifier: string | null;
}

/** The files below a folder whose names end in one of some ways, sorted. A folder that does not exist has none. */
export function filesBelow(folder: string, ...endings: string[]): string[] {
  if (!existsSync(root + folder)) return [];
  return readdirSync(root + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => `${entry.parentPath.slice(root.length)}/${entry.name}`.replaceAll('\\', '/'))
    .filter((path) => !path.includes('/node_modules/'))
    .sort();
}

/** Parses a text. Throws at the first fault, with the file's name. */
export function parse(path: string, text: string): Source {
  const { program, errors } = parseSync(path, text);
  const [fault] = errors;
  if (fault) throw new SyntaxError(`${path}: ${fault.message}`);
  return { path, text, nodes: [...walk(program)] };
}

/** The parsed TypeScript files below a folder. */
export function sources(folder: string): Source[] {
  return filesBelow(folder, '.ts').map((path) => parse(path, readFileSync(root + path, 'utf8')));
}

/** Every module that a file names: by import and export, statically, lazily, as a type, and by `require`. */
export function references(source: Source): Reference[] {
  const found: Reference[] = [];
  const add = (node: Node, named: Node | null): void => {
    const plain = named?.type === 'Literal' && typeof named.value === 'string' ? named.value : null;
    found.push({ path: source.path, line: lineOf(source, node), specifier: plain });
  };
  for (const node of source.nodes) {
    if (node.type === 'ImportDeclaration' || node.type === 'ExportAllDeclaration') add(node, node.source);
    else if (node.type === 'ExportNamedDeclaration' && node.source) add(node, node.source);
    else if (node.type === 'ImportExpression' || node.type === 'TSImportType') add(node, node.source);
    else if (node.type === 'TSExternalModuleReference') add(node, node.expression);
    else if (isRequire(node)) add(node, node.arguments[0] ?? null);
  }
  return found;
}

/** The line, from 1, on which a node begins. */
export function lineOf(source: Source, node: Node): number {
  return source.text.slice(0, node.start).split('\n').length;
}

function isRequire(node: Node): node is Extract<Node, { type: 'CallExpression' }> {
  if (node.type !== 'CallExpression') return false;
  const { callee } = node;
  if (callee.type === 'Identifier') return callee.name === 'require';
  // import.meta.resolve, require.resolve, module.require and process.getBuiltinModule name modules as well.
  if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') return false;
  if (callee.property.name === 'require' || callee.property.name === 'getBuiltinModule') return true;
  return callee.property.name === 'resolve' && ['MetaProperty', 'Identifier'].includes(callee.object.type)
    ? callee.object.type === 'MetaProperty' || (callee.object.type === 'Identifier' && callee.object.name === 'require')
    : false;
}

function* walk(node: Node): Generator<Node> {
  yield node;
  for (const key of visitorKeys[node.type] ?? []) {
    const child = (node as unknown as Record<string, Node | (Node | null)[] | null | undefined>)[key];
    for (const each of Array.isArray(child) ? child : [child]) if (each) yield* walk(each);
  }
}

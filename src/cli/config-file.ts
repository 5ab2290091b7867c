import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PortsideError } from '../base/errors.ts';
import { show } from '../base/show.ts';
import { isHandler } from '../server/define-handler.ts';
import type { Handler } from '../server/handler.ts';
import { handlerPath, loadHandler } from './handler-module.ts';
import { firstLine, loadModule } from './load-module.ts';

/** What a config file says. */
export interface LoadedConfig {
  /** The file, as an absolute path. */
  readonly file: string;
  /** The file as messages name it: as it was asked for, or its bare name when it was found. */
  readonly name: string;
  /** The options of the server, not looked at yet. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What its `handler` says: the path of a module, a handler, or undefined. {@link configHandler} makes a handler of it. */
  readonly handler: unknown;
}

/** The names that are looked for in the working directory. */
export const CONFIG_NAMES: readonly string[] = [
  'portside.config.ts',
  'portside.config.mts',
  'portside.config.js',
  'portside.config.mjs',
];

/**
 * Loads the config file that is named, or the one that is found in `cwd`; null when none is named and there is none. TypeScript runs as it is.
 *
 * Its default export is an object of options, or a function (which may be async) that gives one. ERR_PORTSIDE_MODULE when the file that was named is missing,
 * two are found, it fails to load, or its default export is neither.
 */
export async function loadConfig(path: string | undefined, cwd: string): Promise<LoadedConfig | null> {
  const name = path ?? findConfig(cwd);
  if (name === null) return null;
  const module = await loadModule({ file: name, from: cwd, purpose: 'exports the options' });
  if (!('default' in module)) {
    const named = Object.keys(module);
    const has = named.length === 0 ? 'exports nothing' : `exports only ${named.join(', ')}`;
    throw wrong(`${name} ${has}; export the options as its default: export default defineConfig({ … })`);
  }
  const value = await valueOf(module['default'], name);
  if (!isPlain(value)) {
    const what =
      typeof module['default'] === 'function' ? `The function that ${name} exports gives` : `${name} exports`;
    throw wrong(`${what} ${show(value)} as its options; it has to be an object: export default defineConfig({ … })`);
  }
  const { handler, ...options } = value;
  return { file: resolve(cwd, name), name, options, handler };
}

/**
 * The handler of a config file: the default export of the module that it names, by a path that is relative to the config file or by a URL, or the
 * handler that it has; null when it says nothing. ERR_PORTSIDE_MODULE and ERR_PORTSIDE_HANDLER as for a module that is named on the command line.
 */
export async function configHandler(config: LoadedConfig): Promise<Handler | null> {
  const { handler } = config;
  if (handler === undefined) return null;
  const path = namedModule(config);
  if (path !== null) return loadHandler(path);
  if (isHandler(handler)) return handler;
  throw wrongHandler(config);
}

/**
 * The same for workers, who load modules themselves: the whole path of the module that is named, or of the config file, when that has the handler. ERR_PORTSIDE_MODULE when
 * there is no such file, and ERR_PORTSIDE_HANDLER when it is neither.
 */
export function configModule(config: LoadedConfig): string | null {
  const { handler, file } = config;
  if (handler === undefined) return null;
  const path = namedModule(config);
  if (path !== null) return handlerPath(path);
  if (isHandler(handler)) return file;
  throw wrongHandler(config);
}

/** The path of the module that a config file names as its handler. */
function namedModule({ handler, file }: LoadedConfig): string | null {
  if (typeof handler === 'string' && handler !== '') return resolve(dirname(file), handler);
  if (handler instanceof URL && handler.protocol === 'file:') return fileURLToPath(handler);
  return null;
}

function wrongHandler({ handler, name }: LoadedConfig): PortsideError {
  return new PortsideError(
    'ERR_PORTSIDE_HANDLER',
    `${name}: handler must be the path of a module, a function, or an object with some of open, data, end, drain and close, got ${show(handler)}.`,
  );
}

function findConfig(cwd: string): string | null {
  const found = CONFIG_NAMES.filter((name) => existsSync(join(cwd, name)));
  const [first, second] = found;
  if (first !== undefined && second !== undefined)
    throw wrong(`There are ${found.join(' and ')} in ${cwd}; keep one of them, or name it by --config.`);
  return first ?? null;
}

async function valueOf(exported: unknown, name: string): Promise<unknown> {
  try {
    return typeof exported === 'function' ? await (exported as () => unknown)() : await exported;
  } catch (cause) {
    throw new PortsideError('ERR_PORTSIDE_MODULE', `The function that ${name} exports failed: ${firstLine(cause)}`, {
      cause,
    });
  }
}

function wrong(message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_MODULE', message);
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

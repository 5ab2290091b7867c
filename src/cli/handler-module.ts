import { existsSync, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PortsideError, systemCode } from '../base/errors.ts';
import { show } from '../base/show.ts';
import { isHandler } from '../server/handler.ts';
import type { Handler } from '../server/handler.ts';

/**
 * The handler that a module exports as its default, TypeScript run as it is.
 * ERR_PORTSIDE_MODULE when the file is missing or fails to load, ERR_PORTSIDE_HANDLER when its default export is not a handler.
 */
export async function loadHandler(file: string): Promise<Handler> {
  const path = resolve(file);
  if (!existsSync(path)) {
    throw new PortsideError(
      'ERR_PORTSIDE_MODULE',
      `There is no file ${file}; check the path${isAbsolute(file) ? '' : `, which is relative to ${process.cwd()}`}.`,
    );
  }
  if (statSync(path).isDirectory()) {
    throw new PortsideError(
      'ERR_PORTSIDE_MODULE',
      `${file} is a directory; name the file of the module that exports the handler.`,
    );
  }
  const module = await load(path, file);
  if (!('default' in module)) {
    const named = Object.keys(module);
    const has = named.length === 0 ? 'exports nothing' : `exports only ${named.join(', ')}`;
    throw new PortsideError(
      'ERR_PORTSIDE_HANDLER',
      `${file} ${has}; export the handler as its default: export default async (conn) => { … }`,
    );
  }
  const { default: handler } = module;
  if (!isHandler(handler)) {
    throw new PortsideError(
      'ERR_PORTSIDE_HANDLER',
      `The default export of ${file} is not a handler; it has to be a function, or an object with some of open, data, end, drain and close.`,
    );
  }
  return handler;
}

async function load(path: string, file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    const [what = ''] = cause instanceof Error ? cause.message.split('\n') : [show(cause)];
    const hint =
      systemCode(cause) === 'ERR_MODULE_NOT_FOUND' ? 'what it imports is not there; install it, or check the path' : '';
    throw new PortsideError(
      'ERR_PORTSIDE_MODULE',
      `${file} can't be loaded: ${what}${hint === '' ? '' : ` (${hint})`}`,
      {
        cause,
      },
    );
  }
}

import { PortsideError } from '../base/errors.ts';
import { isHandler } from '../server/define-handler.ts';
import type { Handler } from '../server/handler.ts';
import { loadModule, modulePath } from './load-module.ts';

const PURPOSE = 'exports the handler';

/** Where the module is that a worker is to load. ERR_PORTSIDE_MODULE when there is no such file. */
export function handlerPath(file: string): string {
  return modulePath({ file, purpose: PURPOSE });
}

/**
 * The handler that a module exports as its default, TypeScript run as it is.
 * ERR_PORTSIDE_MODULE when the file is missing or fails to load, ERR_PORTSIDE_HANDLER when its default export is not a handler.
 */
export async function loadHandler(file: string): Promise<Handler> {
  const module = await loadModule({ file, purpose: PURPOSE });
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

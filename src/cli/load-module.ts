import { existsSync, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PortsideError, systemCode } from '../base/errors.ts';
import { show } from '../base/show.ts';

/** How a module is asked for. */
export interface ModuleRequest {
  /** The file, as the user named it; messages name it the same way. */
  readonly file: string;
  /** What a relative path is relative to. @default the working directory */
  readonly from?: string | undefined;
  /** What the module is there for, as it reads after "the module that": `exports the handler`. */
  readonly purpose: string;
}

/** Where a module is, as a whole path. ERR_PORTSIDE_MODULE, with what to do, when the file is missing or is a directory. */
export function modulePath({ file, from = process.cwd(), purpose }: ModuleRequest): string {
  const path = resolve(from, file);
  if (!existsSync(path)) {
    const relative = isAbsolute(file) ? '' : `, which is relative to ${from}`;
    throw new PortsideError('ERR_PORTSIDE_MODULE', `There is no file ${file}; check the path${relative}.`);
  }
  if (statSync(path).isDirectory()) {
    throw new PortsideError(
      'ERR_PORTSIDE_MODULE',
      `${file} is a directory; name the file of the module that ${purpose}.`,
    );
  }
  return path;
}

/**
 * What a module exports, by name; TypeScript runs as it is. ERR_PORTSIDE_MODULE, with what to do, when the file is missing, is a directory, or fails to load.
 */
export async function loadModule(request: ModuleRequest): Promise<Exports> {
  const { file } = request;
  const path = modulePath(request);
  try {
    return (await import(pathToFileURL(path).href)) as Exports;
  } catch (cause) {
    const hint =
      systemCode(cause) === 'ERR_MODULE_NOT_FOUND'
        ? ' (what it imports is not there; install it, or check the path)'
        : '';
    throw new PortsideError('ERR_PORTSIDE_MODULE', `${file} can't be loaded: ${firstLine(cause)}${hint}`, { cause });
  }
}

/** What a module exports. */
export type Exports = Readonly<Record<string, unknown>>;

/** The first line of what was thrown. */
export function firstLine(thrown: unknown): string {
  const [line = ''] = thrown instanceof Error ? thrown.message.split('\n') : [show(thrown)];
  return line;
}

import { PortsideError } from '../base/errors.ts';
import { isHandler } from '../server/define-handler.ts';
import type { Handler } from '../server/handler.ts';
import { defined } from './defined.ts';
import type { WorkerOptions } from './options.ts';
import type { WorkerInit } from './protocol.ts';

/** What a worker serves by. */
export interface WorkerParts {
  readonly handler: Handler;
  readonly options: WorkerOptions;
}

type Named = Readonly<Record<string, unknown>>;

/**
 * The handler that a worker's module exports, and the options that it or the module of options has. Where both are one module, a config file, the handler is one of the
 * options. ERR_PORTSIDE_HANDLER when there is none.
 */
export async function workerParts(
  module: Named,
  { module: url, optionsModule }: Pick<WorkerInit, 'module' | 'optionsModule'>,
): Promise<WorkerParts> {
  if (url === optionsModule && module['options'] === undefined) {
    const config = await exportedOptions(module);
    return { handler: handlerOf(config['handler'], url, 'handler'), options: ownOptions(config) };
  }
  const handler = handlerOf(module['default'], url, 'default export');
  if (module['options'] !== undefined || optionsModule === null)
    return { handler, options: ownOptions(module['options']) };
  const other = (await import(optionsModule)) as Named;
  return { handler, options: ownOptions(await exportedOptions(other)) };
}

/** Options may be given by a function, which may be async. */
async function exportedOptions(module: Named): Promise<Named> {
  const exported = module['options'] ?? module['default'];
  const value: unknown = typeof exported === 'function' ? await (exported as () => unknown)() : await exported;
  return typeof value === 'object' && value !== null ? (value as Named) : {};
}

function handlerOf(value: unknown, url: string, where: string): Handler {
  if (isHandler(value)) return value;
  const what = value === undefined ? `no ${where}` : `a ${where} that is no handler`;
  throw new PortsideError('ERR_PORTSIDE_HANDLER', `${url} has ${what}, and has not called receiveConnections()`, {
    op: 'start',
  });
}

/** What is not the parent's to say. */
function ownOptions(given: unknown): WorkerOptions {
  if (typeof given !== 'object' || given === null) return {};
  const { context, onStart, onStop, onError, prepareHardClose, refuseWith, ambient } = given as WorkerOptions;
  return defined({ context, onStart, onStop, onError, prepareHardClose, refuseWith, ambient });
}

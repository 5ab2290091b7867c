/** Loaded by `node --import`: lets a file import `portside`, as a user writes it, and get the sources of the checkout. */
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { sourceOf } from './entries.ts';

registerHooks({
  resolve(specifier, context, next) {
    const source = sourceOf(specifier);
    return source === undefined ? next(specifier, context) : { url: pathToFileURL(source).href, shortCircuit: true };
  },
});

/** What workers load first that are watched: tells every file that is loaded as a module, by a channel that {@link SourceWatch} hears. */
import { registerHooks } from 'node:module';
import { BroadcastChannel } from 'node:worker_threads';
import { LOADED } from './source-watch.ts';
import type { Loaded } from './source-watch.ts';

const channel = new BroadcastChannel(LOADED);
channel.unref();

registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:')) channel.postMessage({ url, at: Date.now() } satisfies Loaded);
    return next(url, context);
  },
});

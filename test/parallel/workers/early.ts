/** Loaded before a worker's module, and leaves a word for it. */
(globalThis as { early?: string }).early = 'early';

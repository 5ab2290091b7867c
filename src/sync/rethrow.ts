const { setImmediate } = globalThis;

/**
 * Throws an error from a fresh stack, so that it reaches the process as an uncaught exception would, and stops
 * nobody who happens to be on the present stack. It is for callbacks that may not throw and did.
 */
export function rethrowSoon(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

/** Collects rejections that nobody handles, and errors that nobody catches, until it is called. */
export function unhandled(): () => Promise<unknown[]> {
  const seen: unknown[] = [];
  const note = (reason: unknown): void => {
    seen.push(reason);
  };
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
  return async () => {
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
    return seen;
  };
}

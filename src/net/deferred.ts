/** A promise with its ends in hand. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

const ignore = (): void => {};

/** A promise that nobody has to look at: its rejection is never an unhandled one. */
export function deferred<T>(): Deferred<T> {
  const made = Promise.withResolvers<T>();
  made.promise.catch(ignore);
  return made;
}
